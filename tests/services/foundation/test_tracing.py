import subprocess
import sys

import pytest

from services.foundation import tracing

PROGRAM = """
import sys
from opentelemetry import trace
from services.inference.tracing import tracer, traceparent_of
from services.foundation import tracing

tracing.start("seqway-gateway")
with tracer.start_as_current_span("call"):
    told = traceparent_of()
provider = trace.get_tracer_provider()
tracing.stop()
exporter = any("otlp.proto.http" in name for name in sys.modules)
service = provider.resource.attributes["service.name"] if hasattr(provider, "resource") else ""
print(bool(told), exporter, service)
"""


def told(**environment: str) -> list[str]:
    """What a process of its own says: OpenTelemetry sets up a process once."""
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        check=True,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": ":".join(sys.path), **environment},
    )
    return run.stdout.split()


def test_without_an_endpoint_there_are_no_spans_and_no_exporter() -> None:
    assert told(OTEL_SERVICE_NAME="mine") == ["False", "False"]


@pytest.mark.parametrize(
    "variable", ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"]
)
def test_an_endpoint_turns_tracing_on(variable: str) -> None:
    environment = {variable: "http://127.0.0.1:1", "OTEL_TRACES_SAMPLER": "always_off"}
    assert told(**environment) == ["True", "True", "seqway-gateway"]


def test_the_name_of_the_service_gives_way_to_the_standard_variables(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert tracing._resource("seqway-worker").attributes["service.name"] == "seqway-worker"
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.name=theirs,deployment=dev")
    attributes = tracing._resource("seqway-worker").attributes
    assert (attributes["service.name"], attributes["deployment"]) == ("theirs", "dev")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "mine")
    assert tracing._resource("seqway-worker").attributes["service.name"] == "mine"
