"""The spans of a program's calls, when it has set up a tracer; and that nothing changes without."""

import threading
from collections.abc import Callable

import grpc
import pytest
import seqway.transport.tracing
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind
from seqway import AsyncClient, Client, SeqwayError

from tests.sdk.server import FakeServer
from tests.sdk.status import FakeFailure

DENIED = FakeFailure(grpc.StatusCode.PERMISSION_DENIED, "no")


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(seqway.transport.tracing, "_tracer", provider.get_tracer("test"))
    return exporter


def only(exporter: InMemorySpanExporter) -> ReadableSpan:
    (span,) = exporter.get_finished_spans()
    return span


def code(span: ReadableSpan) -> object:
    return (span.attributes or {})["rpc.grpc.status_code"]


def traceparent(span: ReadableSpan) -> str:
    flags = span.context.trace_flags
    return f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}-{flags:02x}"


def test_a_call_has_a_span_that_the_server_hears_of(
    server: FakeServer, exporter: InMemorySpanExporter
) -> None:
    with Client(server.address, tenant="acme") as client:
        client.translate("x", source="en", target="fr")
    span = only(exporter)
    assert (span.name, span.kind) == ("seqway.v1.TranslationService/Translate", SpanKind.CLIENT)
    assert code(span) == 0
    metadata = server.translation.metadata
    assert metadata["traceparent"] == traceparent(span)
    assert metadata["x-seqway-tenant"] == "acme"


def test_a_failing_call_tells_its_code(server: FakeServer, exporter: InMemorySpanExporter) -> None:
    server.translation.failure = DENIED
    with Client(server.address) as client, pytest.raises(SeqwayError):
        client.translate("x", source="en", target="fr")
    span = only(exporter)
    assert code(span) == DENIED.code.value[0]
    assert not span.status.is_ok
    assert not span.events, "what an error says may quote a text"


def test_the_span_of_a_stream_ends_with_the_stream(
    server: FakeServer, exporter: InMemorySpanExporter
) -> None:
    with Client(server.address) as client:
        stream = client.stream_translate("x", source="en", target="fr")
        next(stream)
        assert exporter.get_finished_spans() == ()
        list(stream)
        wait(lambda: len(exporter.get_finished_spans()) == 1)
    assert code(only(exporter)) == 0


def test_a_stream_that_is_left_was_cancelled(
    server: FakeServer, exporter: InMemorySpanExporter
) -> None:
    with (
        Client(server.address) as client,
        client.stream_translate("x", source="en", target="fr") as stream,
    ):
        next(stream)
    wait(lambda: len(exporter.get_finished_spans()) == 1)
    assert code(only(exporter)) == grpc.StatusCode.CANCELLED.value[0]


async def test_asyncio_tells_the_same(server: FakeServer, exporter: InMemorySpanExporter) -> None:
    async with AsyncClient(server.address) as client:
        await client.translate("x", source="en", target="fr")
        async with client.stream_translate("x", source="en", target="fr") as stream:
            async for _ in stream:
                pass
        server.translation.failure = DENIED
        with pytest.raises(SeqwayError):
            await client.translate("x", source="en", target="fr")
        with pytest.raises(SeqwayError):
            async for _ in client.stream_translate("x", source="en", target="fr"):
                pass
    denied = DENIED.code.value[0]
    assert [code(span) for span in exporter.get_finished_spans()] == [0, 0, denied, denied]


def test_an_upload_is_one_span(server: FakeServer, exporter: InMemorySpanExporter) -> None:
    with Client(server.address) as client:
        client.jobs.translate(["a", "b"], source="en", target="fr")
    span = only(exporter)
    assert span.name == "seqway.v1.JobService/CreateJob"
    assert code(span) == 0


def test_without_a_tracer_the_metadata_are_as_before(server: FakeServer) -> None:
    with Client(server.address) as client:
        client.translate("x", source="en", target="fr")
    assert "traceparent" not in server.translation.metadata


def wait(probe: Callable[[], bool]) -> None:
    """The end of a call is told by a thread of gRPC."""
    for _ in range(500):
        if probe():
            return
        threading.Event().wait(0.01)
    raise AssertionError("it never came")
