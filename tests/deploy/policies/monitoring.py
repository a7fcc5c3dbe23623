"""What is scraped is there, and what is scaled by is scraped."""

import re
from functools import cache

from tests.deploy.bundle import Bundle
from tests.deploy.rendering import ROOT, Object

_METRIC = re.compile(r"\b(seqway_\w+)\{")
_NAMED = re.compile(r'"(seqway_\w+)"')
_MADE_BY_PROMETHEUS = re.compile(r"_(total|bucket|sum|count)$")


def scrape_pods(bundle: Bundle) -> list[str]:
    """Each PodMonitor selects pods that have the port."""
    found = []
    for monitor in bundle.of("PodMonitor"):
        name = monitor["metadata"]["name"]
        pods = bundle.select(monitor["spec"]["selector"])
        if not pods:
            found.append(f"PodMonitor {name} selects no pod")
        for endpoint in monitor["spec"]["podMetricsEndpoints"]:
            found += [
                f"PodMonitor {name}: {pod.title} has no port {endpoint['port']}"
                for pod in pods
                if pod.port(endpoint["port"]) is None
            ]
    return found


def scale_what_is_there(bundle: Bundle) -> list[str]:
    """The target exists, and says no number of pods itself."""
    found = []
    for scaled in bundle.of("ScaledObject"):
        name, target = scaled["metadata"]["name"], scaled["spec"]["scaleTargetRef"]
        owner = bundle.find(target.get("kind", "Deployment"), target["name"])
        if owner is None:
            found.append(f"ScaledObject {name}: there is no {target['name']}")
        elif "replicas" in owner["spec"]:
            found.append(f"ScaledObject {name}: {target['name']} says its number of pods, too")
        kinds = {one.get("metricType", "AverageValue") for one in scaled["spec"]["triggers"]}
        if "fallback" in scaled["spec"] and kinds != {"AverageValue"}:
            found.append(f"ScaledObject {name} has a fallback, which is for averages alone")
        if scaled["spec"]["minReplicaCount"] >= scaled["spec"]["maxReplicaCount"]:
            found.append(f"ScaledObject {name} has no room to scale")
    return found


def scale_by_metrics_that_exist(bundle: Bundle) -> list[str]:
    """Each query names metrics of ours that some code has, in the namespace of the target."""
    found = []
    for scaled in bundle.of("ScaledObject"):
        name, namespace = scaled["metadata"]["name"], scaled["metadata"]["namespace"]
        for query in _queries(scaled):
            metrics = _METRIC.findall(query)
            if not metrics:
                found.append(f"ScaledObject {name} asks for no metric of ours")
            if query.count(f'namespace="{namespace}"') != len(metrics):
                found.append(f"ScaledObject {name} does not keep to its namespace")
            found += [
                f"ScaledObject {name}: nothing has the metric {metric}"
                for metric in metrics
                if not {metric, _MADE_BY_PROMETHEUS.sub("", metric)} & _metrics()
            ]
    return found


def _queries(scaled: Object) -> list[str]:
    return [one["metadata"].get("query", "") for one in scaled["spec"]["triggers"]]


@cache
def _metrics() -> frozenset[str]:
    """The names in the code; in Triton's metrics they stand as they are."""
    folders = ("engine/backend", "services", "workers")
    texts = (path.read_text() for one in folders for path in (ROOT / one).rglob("*.py"))
    return frozenset(name for text in texts for name in _NAMED.findall(text))


POLICIES = (scrape_pods, scale_what_is_there, scale_by_metrics_that_exist)
