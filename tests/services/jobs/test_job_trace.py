"""The spans of jobs, with a pretended model."""

import json
from collections.abc import Callable

from jobs_bench import Bench
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from services.inference.tracing import tracer
from services.jobs.store import layout
from services.jobs.store.records import JOBS, JobRecord


def submit(bench: Bench, texts: list[str]) -> JobRecord:
    """A job that a traced call makes."""
    with tracer.start_as_current_span("call"):
        return bench.submit(texts)


def named(exporter: InMemorySpanExporter, name: str) -> list[ReadableSpan]:
    return [span for span in exporter.get_finished_spans() if span.name == name]


def parent_of(span: ReadableSpan) -> int:
    return span.parent.span_id if span.parent is not None else 0


def test_the_lines_of_a_job_are_part_of_the_call_that_made_it(
    bench: Bench, exporter: InMemorySpanExporter
) -> None:
    record = submit(bench, ["a", "b", "a", "c", "b", "d"])
    bench.pump()
    (call,), (finish,) = named(exporter, "call"), named(exporter, "finish")
    first, second = named(exporter, "chunk")
    assert {parent_of(span) for span in (first, second, finish)} == {call.context.span_id}
    assert {span.context.trace_id for span in exporter.get_finished_spans()} == {
        call.context.trace_id
    }
    assert first.attributes == {
        "seqway.job_id": record.id,
        "seqway.tenant": "default",
        "seqway.run": 1,
        "seqway.chunk": 0,
        "seqway.lines": 4,
    }
    lines = {span.attributes["seqway.line"]: span for span in named(exporter, "line")}  # type: ignore[index]
    assert sorted(lines) == list(range(6))
    for index, line in lines.items():
        assert parent_of(line) == (first if index < 4 else second).context.span_id
        assert line.attributes is not None
        assert line.attributes["seqway.custom_id"] == f"id-{index}"
        assert line.attributes["seqway.status"] == "succeeded"
    (link,) = lines[2].links
    assert link.context.span_id == lines[0].context.span_id, "its text was answered for line 0"
    remembered = [n for n, line in lines.items() if (line.attributes or {}).get("seqway.memo")]
    assert remembered == [4], "its text was answered in the chunk before"
    commits = named(exporter, "commit")
    assert {parent_of(span) for span in commits} == {first.context.span_id, second.context.span_id}


def test_a_line_that_fails_tells_why(
    make: Callable[..., Bench], exporter: InMemorySpanExporter
) -> None:
    bench = make(chunk_attempts=1)
    bench.inference.breaks = {"bad"}
    record = submit(bench, ["good", "bad"])
    bench.settle(record.id)
    assert [line["status"] for line in bench.lines(record.id)] == ["succeeded", "failed"]
    spans = named(exporter, "line")
    assert len(spans) > 2, "each attempt has its own"
    done = [span for span in spans if "seqway.status" in (span.attributes or {})]
    assert [(span.attributes or {})["seqway.line"] for span in done] == [0]


def test_a_record_of_before_is_still_read(bench: Bench, exporter: InMemorySpanExporter) -> None:
    record = submit(bench, ["a"])
    assert record.traceparent
    store = bench.archive.store
    key = layout.record(record.id)
    old = json.loads(JOBS.encode(record))
    del old["traceparent"]
    store.delete(key)
    store.create(key, json.dumps(old).encode())
    bench.pump()
    bench.check(record.id, 1)
    (chunk,) = named(exporter, "chunk")
    assert chunk.parent is None, "it begins a trace of its own"


def test_a_job_without_a_tracer_has_no_trace(bench: Bench) -> None:
    record = bench.submit(["a"])
    assert record.traceparent == ""
    bench.pump()
    bench.check(record.id, 1)
