"""Mistakes that policies/monitoring.py has to find."""

from tests.deploy.mistakes.editing import Mistake, find
from tests.deploy.rendering import Object


def _query(objects: list[Object], old: str, new: str) -> None:
    metadata = find(objects, "ScaledObject", "seqway-gateway")["spec"]["triggers"][0]["metadata"]
    assert old in metadata["query"]
    metadata["query"] = metadata["query"].replace(old, new)


MISTAKES = (
    Mistake(
        "monitoring.scrape_pods",
        "PodMonitor seqway-worker: Deployment seqway-worker has no port metric",
        lambda objects: find(objects, "PodMonitor", "seqway-worker")["spec"]["podMetricsEndpoints"][
            0
        ].update(port="metric"),
    ),
    Mistake(
        "monitoring.scale_what_is_there",
        "ScaledObject seqway-worker: there is no seqway-workers",
        lambda objects: find(objects, "ScaledObject", "seqway-worker")["spec"][
            "scaleTargetRef"
        ].update(name="seqway-workers"),
    ),
    Mistake(
        "monitoring.scale_what_is_there",
        "seqway-triton says its number of pods, too",
        lambda objects: find(objects, "Deployment", "seqway-triton")["spec"].update(replicas=2),
    ),
    Mistake(
        "monitoring.scale_what_is_there",
        "ScaledObject seqway-triton has a fallback, which is for averages alone",
        lambda objects: find(objects, "ScaledObject", "seqway-triton")["spec"].update(
            fallback={"failureThreshold": 3, "replicas": 2}
        ),
    ),
    Mistake(
        "monitoring.scale_by_metrics_that_exist",
        "nothing has the metric seqway_gateway_calls_in_flights",
        lambda objects: _query(objects, "in_flight", "in_flights"),
    ),
    Mistake(
        "monitoring.scale_by_metrics_that_exist",
        "does not keep to its namespace",
        lambda objects: _query(objects, 'namespace="seqway"', 'namespace="other"'),
    ),
)
