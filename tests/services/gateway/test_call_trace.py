"""The spans of calls, and what the engine is told of them."""

from typing import Any

import grpc
import pytest
from gateway_stack import MakeStack, Stack, failure, wait_until
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from seqway.v1 import classification_pb2, job_pb2
from seqway.v1 import translation_pb2 as pb

from tests.services.twin import classifier

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED = (("traceparent", f"00-{TRACE}-{PARENT}-01"),)
UNSAMPLED = (("traceparent", f"00-{TRACE}-{PARENT}-00"),)


def request(*contents: str, target: str = "fr") -> pb.TranslateRequest:
    return pb.TranslateRequest(
        contents=contents, source_language_code="en", target_language_code=target
    )


def spans_by_name(exporter: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    found = {span.name.rpartition("/")[2]: span for span in exporter.get_finished_spans()}
    assert len(found) == len(exporter.get_finished_spans())
    return found


async def spans_of_failure(exporter: InMemorySpanExporter, method: str) -> dict[str, ReadableSpan]:
    """Those of a call that was aborted: its caller may know before its span has ended."""
    await wait_until(lambda: method in spans_by_name(exporter))
    return spans_by_name(exporter)


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


async def test_a_call_joins_its_callers_trace_and_tells_the_engine(
    stack: Stack, exporter: InMemorySpanExporter
) -> None:
    await stack.translation.Translate(request("One two. Three four."), metadata=SAMPLED)
    spans = spans_by_name(exporter)
    server, cut, triton = spans["Translate"], spans["cut"], spans["triton"]
    assert server.parent is not None
    assert f"{server.parent.span_id:016x}" == PARENT
    assert {f"{span.context.trace_id:032x}" for span in spans.values()} == {TRACE}
    assert attributes(server)["rpc.service"] == "seqway.v1.TranslationService"
    assert attributes(server)["rpc.grpc.status_code"] == 0
    assert len(attributes(server)["seqway.request_id"]) == 32
    assert attributes(cut) == {"seqway.contents": 1, "seqway.segments": 2}
    assert attributes(triton) == {
        "seqway.model": "en-fr_int8",
        "seqway.rows": 2,
        "seqway.input_tokens": 5,
        "seqway.output_tokens": 4,
        "seqway.queue_ms": 0.1,
    }
    assert stack.twin.options[-1]["traceparent"] == (f"00-{TRACE}-{triton.context.span_id:016x}-01")


@pytest.mark.parametrize("metadata", [UNSAMPLED, (("traceparent", "nonsense"),), ()])
async def test_without_a_tracer_the_engine_hears_of_sampled_traces_only(
    stack: Stack, metadata: tuple[tuple[str, str], ...]
) -> None:
    await stack.translation.Translate(request("One two."), metadata=metadata)
    assert "traceparent" not in stack.twin.options[-1]


async def test_what_is_not_sampled_has_no_spans(
    stack: Stack, exporter: InMemorySpanExporter
) -> None:
    await stack.translation.Translate(request("One two."), metadata=UNSAMPLED)
    assert exporter.get_finished_spans() == ()
    assert "traceparent" not in stack.twin.options[-1]


async def test_the_elements_of_an_encoder_carry_the_trace(
    make_stack: MakeStack, exporter: InMemorySpanExporter
) -> None:
    stack = await make_stack(manifests=[classifier()])
    texts = [f"text {n}" for n in range(10)]
    call = classification_pb2.ClassifyRequest(contents=texts)
    await stack.classification.Classify(call, metadata=SAMPLED)
    triton = spans_by_name(exporter)["triton"]
    assert attributes(triton)["seqway.rows"] == 10
    told = f"00-{TRACE}-{triton.context.span_id:016x}-01"
    assert [each["traceparent"] for each in stack.twin.options] == [told, told]


async def test_a_failing_call_tells_code_and_reason_but_no_words(
    stack: Stack, exporter: InMemorySpanExporter
) -> None:
    await failure(stack.translation.Translate(request("One two.", target="de")))
    span = (await spans_of_failure(exporter, "Translate"))["Translate"]
    assert attributes(span)["rpc.grpc.status_code"] == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    assert attributes(span)["seqway.reason"] == "UNKNOWN_LANGUAGE_PAIR"
    assert not span.events
    assert span.status.is_ok or span.status.is_unset


async def test_our_own_faults_are_errors(stack: Stack, exporter: InMemorySpanExporter) -> None:
    stack.twin.error = "a failure that quotes: One two."
    await failure(stack.translation.Translate(request("One two.")))
    spans = await spans_of_failure(exporter, "Translate")
    for name, words in (("Translate", "INTERNAL"), ("triton", "MODEL_FAILED")):
        assert not spans[name].status.is_ok
        assert spans[name].status.description == words
        assert not spans[name].events


async def test_a_call_about_a_job_names_tenant_and_job(
    make_stack: MakeStack, exporter: InMemorySpanExporter, tmp_path: Any
) -> None:
    stack = await make_stack(job_store=f"file://{tmp_path}")
    metadata = (("x-seqway-tenant", "acme"),)
    await failure(stack.jobs.GetJob(job_pb2.GetJobRequest(id="abc" * 20), metadata=metadata))
    span = (await spans_of_failure(exporter, "GetJob"))["GetJob"]
    assert attributes(span)["seqway.tenant"] == "acme"
    assert attributes(span)["seqway.job_id"] == ("abc" * 20)[:32]
