"""The spans that are made of answers, and which requests have some."""

import subprocess
import sys
from collections.abc import Sequence

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from engine.backend.spans import SpanRecorder
from engine.backend.tracing import open_spans
from engine.contract.events import Delta, End, FinishReason, TooLong
from engine.contract.options import take_traceparents
from engine.contract.readings import Failure, Logits

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED = f"00-{TRACE}-{PARENT}-01"
UNSAMPLED = f"00-{TRACE}-{PARENT}-00"
MILLISECOND = 1_000_000


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def spans(exporter: InMemorySpanExporter) -> SpanRecorder:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return SpanRecorder("en-fr_int8", provider)


def by_name(exporter: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    return {span.name: span for span in exporter.get_finished_spans()}


def ended(index: int, **fields: object) -> End:
    return End(index, FinishReason.EOS, 9, **fields)  # type: ignore[arg-type]


def times(span: ReadableSpan, since: int) -> tuple[float, float]:
    assert span.start_time is not None
    assert span.end_time is not None
    return (span.start_time - since) / MILLISECOND, (span.end_time - since) / MILLISECOND


def test_a_row_that_ran_becomes_spans_at_the_times_of_its_answer(
    spans: SpanRecorder, exporter: InMemorySpanExporter
) -> None:
    request = spans.request([SAMPLED])
    assert request is not None
    end = ended(
        0,
        output_tokens=11,
        queue_ms=1.0,
        encoded_ms=3.0,
        first_token_ms=4.0,
        total_ms=20.0,
        steps=11,
        slots=2,
    )
    request.note_lane([end])
    spans.generated(request, [Delta(0, "Bon"), end])
    found = by_name(exporter)
    generate, decode = found.pop("generate"), found["decode"]
    assert generate.parent is not None
    assert (f"{generate.context.trace_id:032x}", f"{generate.parent.span_id:016x}") == (
        TRACE,
        PARENT,
    )
    assert times(generate, request.arrived) == (0.0, 20.0)
    assert {name: times(span, request.arrived) for name, span in found.items()} == {
        "queue": (0.0, 1.0),
        "encode": (1.0, 3.0),
        "decode": (3.0, 20.0),
    }
    assert all(
        span.parent is not None and span.parent.span_id == generate.context.span_id
        for span in found.values()
    )
    assert generate.attributes == {
        "seqway.model": "en-fr_int8",
        "seqway.finish_reason": "EOS",
        "seqway.input_tokens": 9,
        "seqway.output_tokens": 11,
        "seqway.lane": "MainThread",
    }
    assert decode.attributes == {
        "seqway.steps": 11,
        "seqway.slots": 2,
        "seqway.output_tokens": 11,
    }
    (first,) = decode.events
    assert (first.name, first.timestamp) == ("first_token", request.at(4.0))


def test_a_row_that_never_ran_only_waited(
    spans: SpanRecorder, exporter: InMemorySpanExporter
) -> None:
    request = spans.request([SAMPLED])
    assert request is not None
    end = End(0, FinishReason.ERROR, 9, queue_ms=5.0, total_ms=5.0, message="a text, perhaps")
    spans.generated(request, [end])
    found = by_name(exporter)
    assert found.keys() == {"generate", "queue"}
    assert not found["generate"].status.is_ok
    assert "perhaps" not in "".join(span.to_json() for span in found.values())


def test_only_the_texts_of_sampled_traces_have_spans(
    spans: SpanRecorder, exporter: InMemorySpanExporter
) -> None:
    request = spans.request([UNSAMPLED, SAMPLED, "", "nonsense", SAMPLED])
    assert request is not None
    spans.generated(request, [ended(index) for index in range(4)])
    spans.generated(request, [TooLong(4, 900, 512)])
    assert [span.name for span in exporter.get_finished_spans()] == ["queue", "generate"]


@pytest.mark.parametrize("traceparents", [[], [""], [UNSAMPLED], ["nonsense"], [SAMPLED[:-2]]])
def test_a_request_without_a_sampled_trace_is_not_told(
    spans: SpanRecorder, traceparents: Sequence[str]
) -> None:
    assert spans.request(traceparents) is None


def test_an_element_that_was_read_becomes_a_span(
    spans: SpanRecorder, exporter: InMemorySpanExporter
) -> None:
    request = spans.request([SAMPLED, "", SAMPLED])
    assert request is not None
    spans.read(request, [Logits((1.0,), 3, 900)] * 2 + [Failure("FAILED", "a text, perhaps")], 8)
    read, failed = exporter.get_finished_spans()
    assert read.attributes == {
        "seqway.model": "en-fr_int8",
        "seqway.batch": 8,
        "seqway.windows": 3,
        "seqway.input_tokens": 900,
    }
    assert read.start_time == request.arrived
    assert failed.status.description == "FAILED"


@pytest.mark.parametrize(
    ("option", "taken"),
    [
        (SAMPLED, [SAMPLED, SAMPLED]),
        ([SAMPLED, ""], [SAMPLED, ""]),
        ([SAMPLED, 7], [SAMPLED, ""]),
        ([SAMPLED], []),
        (7, []),
        (None, []),
    ],
)
def test_the_option_is_for_all_texts_or_for_each(option: object, taken: list[str]) -> None:
    options = {"traceparent": option, "stream": True}
    assert take_traceparents(options, 2) == taken
    assert options == {"stream": True}


def test_nothing_is_told_and_nothing_imported_without_an_endpoint() -> None:
    program = (
        "import sys\n"
        "from engine.backend.tracing import open_spans\n"
        "assert open_spans('en-fr_int8') is None\n"
        "assert not [name for name in sys.modules if name.startswith('opentelemetry')]\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, env={"PATH": ""})


def test_an_endpoint_turns_it_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://127.0.0.1:1/v1/traces")
    spans = open_spans("en-fr_int8")
    assert spans is not None
    spans.close()
