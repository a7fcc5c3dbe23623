"""Who speaks to whom: the edges that a deployment uses, and those that its policies allow."""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from tests.deploy.bundle import Bundle, Pod

# Those outside of the namespace, by how a policy names them.
CALLERS, PROMETHEUS, DNS, STORE = "callers", "Prometheus", "DNS", "the object store"
_PEERS: tuple[tuple[str, dict[str, Any]], ...] = (
    (CALLERS, {"namespaceSelector": {"matchLabels": {"seqway.dev/client": "true"}}}),
    (
        PROMETHEUS,
        {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}},
            "podSelector": {"matchLabels": {"app.kubernetes.io/name": "prometheus"}},
        },
    ),
    (
        DNS,
        {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
            "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
        },
    ),
)
_URL = re.compile(r"dns:///([a-z0-9-]+):(\d+)$")
_CALLED_FROM_OUTSIDE = "seqway.dev/callers"


class Edge(NamedTuple):
    """`source` opens connections to `target`, at a port of its pods."""

    source: str
    target: str
    port: int
    protocol: str = "TCP"

    def __str__(self) -> str:
        return f"{self.source} to {self.target} at {self.port}/{self.protocol}"


def used(bundle: Bundle) -> set[Edge]:
    """What settings, secrets, Services and PodMonitors make somebody connect to."""
    edges = {*_from_settings(bundle), *_from_outside(bundle)}
    # Who connects to a name asks for its addresses.
    asking = {edge.source for edge in edges if edge.source not in (CALLERS, PROMETHEUS)}
    return edges | {Edge(one, DNS, 53, protocol) for one in asking for protocol in ("UDP", "TCP")}


def _from_settings(bundle: Bundle) -> Iterator[Edge]:
    for container in bundle.containers:
        pod, values = container.pod, bundle.environment(container)
        if found := _URL.match(values.get("SEQWAY_TRITON_URL", "")):
            yield from _to_service(bundle, pod, found[1], int(found[2]))
        if _has_secret(pod, "seqway_redis_url"):
            yield from _to_service(bundle, pod, "seqway-redis", 6379)
        for name in ("SEQWAY_JOB_STORE", "MODEL_STORE"):
            if values.get(name, "").startswith(("s3://", "gs://")):
                yield Edge(pod.name, STORE, 443)


def _to_service(bundle: Bundle, pod: Pod, host: str, port: int) -> Iterator[Edge]:
    """To the pods of a Service; to nobody, which no policy can allow, where there is none."""
    service = bundle.find("Service", host)
    ports = service["spec"]["ports"] if service else []
    target = next((one["targetPort"] for one in ports if one["port"] == port), None)
    if service is None or target is None:
        yield Edge(pod.name, f"nobody ({host})", port)
        return
    for other in bundle.select({"matchLabels": service["spec"]["selector"]}):
        yield Edge(pod.name, other.name, other.port(target) or port)


def _has_secret(pod: Pod, key: str) -> bool:
    return any(
        item["key"] == key
        for volume in pod.spec.get("volumes", [])
        for item in volume.get("secret", {}).get("items", [])
    )


def _from_outside(bundle: Bundle) -> Iterator[Edge]:
    for service in bundle.of("Service"):
        if _CALLED_FROM_OUTSIDE in service["metadata"].get("annotations", {}):
            for pod in bundle.select({"matchLabels": service["spec"]["selector"]}):
                for port in service["spec"]["ports"]:
                    yield Edge(CALLERS, pod.name, pod.port(port["targetPort"]) or port["port"])
    for monitor in bundle.of("PodMonitor"):
        for pod in bundle.select(monitor["spec"]["selector"]):
            for endpoint in monitor["spec"]["podMetricsEndpoints"]:
                yield Edge(PROMETHEUS, pod.name, pod.port(endpoint["port"]) or 0)


def allowed(bundle: Bundle, direction: str) -> set[Edge]:
    """What the policies of one direction, "ingress" or "egress", let through."""
    edges = set()
    for policy in bundle.of("NetworkPolicy"):
        for rule in policy["spec"].get(direction, []):
            peers = rule.get("from" if direction == "ingress" else "to")
            others = {name for peer in peers or [] for name in _peer(bundle, peer)}
            for port in rule.get("ports") or [{"port": 0}]:
                for own in bundle.select(policy["spec"]["podSelector"]):
                    for other in others if peers else {"anybody"}:
                        pair = (other, own.name) if direction == "ingress" else (own.name, other)
                        edges.add(Edge(*pair, int(port["port"]), port.get("protocol", "TCP")))
    return edges


def _peer(bundle: Bundle, peer: dict[str, Any]) -> set[str]:
    if "ipBlock" in peer:
        return {STORE}
    if "namespaceSelector" in peer:
        return {next((name for name, known in _PEERS if known == peer), f"anybody ({peer})")}
    return {pod.name for pod in bundle.select(peer["podSelector"])} or {f"nobody ({peer})"}
