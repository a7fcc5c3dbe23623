"""The whole stack, whose processes export their spans to a collector in this one."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import seqway.transport.tracing
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from seqway import Client

from deploy.local.assembly import running_full_stack
from deploy.local.ports import HOST
from deploy.local.settings import StackSettings
from tests.observability.collector import Collector

TRANSLATOR, CLASSIFIER = "en-fr_int8", "deb-section_int8"


@dataclass(frozen=True)
class TracedStack:
    """A stack and what it tells."""

    settings: StackSettings
    collector: Collector

    @property
    def address(self) -> str:
        return f"{HOST}:{self.settings.ports.gateway.number}"

    def logs(self) -> dict[str, str]:
        """What each process has logged."""
        files = self.settings.run_directory.rglob("*.log")
        return {file.stem: file.read_text(errors="replace") for file in files}


@pytest.fixture(scope="package")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of two models; skips where one is missing, which under CI=true is a failure."""
    settings = StackSettings()
    folder = tmp_path_factory.mktemp("models")
    _require((settings.triton_environment / ".installed").exists(), "run `make setup`")
    for variant in (TRANSLATOR, CLASSIFIER):
        source = settings.model_repository / variant
        _require((source / "config.pbtxt").exists(), f"{variant} is missing: run `make models`")
        (folder / variant).symlink_to(source.resolve())
    return folder


def _require(present: bool, otherwise: str) -> None:
    if not present:
        if os.environ.get("CI") == "true":
            pytest.fail(otherwise)
        pytest.skip(otherwise)


@pytest.fixture(scope="package")
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.close()


@pytest.fixture(scope="package")
def stack(models: Path, collector: Collector) -> Iterator[TracedStack]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        environment.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
        environment.setenv("SEQWAY_CHUNK_ITEMS", "4")
        with running_full_stack(StackSettings(model_repository=models, workers=1)) as (settings, _):
            yield TracedStack(settings, collector)


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """Keeps the spans of the clients of this process."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(seqway.transport.tracing, "_tracer", provider.get_tracer("test"))
    return exporter


@pytest.fixture
def client(stack: TracedStack, exporter: InMemorySpanExporter) -> Iterator[Client]:
    with Client(stack.address, timeout=60) as client:
        yield client


def ids(span: trace.Span) -> tuple[str, str]:
    """The trace and the span, as the collector spells them."""
    context = span.get_span_context()
    return trace.format_trace_id(context.trace_id), trace.format_span_id(context.span_id)
