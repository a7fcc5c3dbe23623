"""One trace joins a client's call to the decoder's steps, and a batch line to its result.

The processes are the real ones; the spans of the client lie in memory, those of the others come
over OTLP to a collector in this process.
"""

from collections.abc import Callable

import grpc
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from seqway import AsyncClient, Client, GenerationOptions, JobState, SeqwayError
from seqway.v1 import model_pb2, model_pb2_grpc, translation_pb2, translation_pb2_grpc

from tests.observability.collector import Collector, Span, named, one
from tests.observability.conftest import CLASSIFIER, TRANSLATOR, TracedStack, ids

BEAMS = GenerationOptions(num_beams=3)
TEXT = "This package contains the documentation."
SAMPLED = "00-{}-00f067aa0ba902b7-01"
UNSAMPLED = "00-{}-00f067aa0ba902b7-00"


def has(*names: str) -> Callable[[list[Span]], bool]:
    return lambda spans: set(names) <= {span.name for span in spans}


def counts(**wanted: int) -> Callable[[list[Span]], bool]:
    return lambda spans: all(len(named(spans, name)) == count for name, count in wanted.items())


def rpc(spans: list[Span]) -> Span:
    (found,) = [span for span in spans if "rpc.service" in span.attributes]
    return found


def client_call(exporter: InMemorySpanExporter, method: str) -> trace.Span:
    (found,) = [span for span in exporter.get_finished_spans() if span.name.endswith(method)]
    return found  # type: ignore[return-value]


def check_generation(spans: list[Span], parent: Span, tokens: int) -> None:
    """A row's spans: queue, encode and decode follow each other within what is part of `parent`."""
    generate = one(spans, "generate")
    assert generate.parent == parent.id
    assert generate.service == "seqway-triton"
    assert generate.attributes["seqway.finish_reason"] == "EOS"
    assert generate.attributes["seqway.model"] == TRANSLATOR
    assert generate.attributes["seqway.lane"].startswith("seqway-lane-")
    queue, encode, decode = (one(spans, name) for name in ("queue", "encode", "decode"))
    assert all(generate.holds(each) for each in (queue, encode, decode))
    assert queue.start == generate.start
    assert queue.end == encode.start < encode.end == decode.start
    assert decode.end == generate.end
    assert decode.attributes["seqway.steps"] == tokens
    assert decode.attributes["seqway.output_tokens"] == tokens
    assert decode.attributes["seqway.slots"] == 1
    ((event, at),) = decode.events
    assert event == "first_token"
    assert decode.start < at <= decode.end


def check_call(spans: list[Span], call: trace.Span, method: str, tokens: int) -> None:
    _, parent = ids(call)
    server = rpc(spans)
    assert (server.service, server.parent) == ("seqway-gateway", parent)
    assert server.name == method
    assert server.attributes["rpc.grpc.status_code"] == 0
    cut, triton = one(spans, "cut"), one(spans, "triton")
    assert server.holds(cut)
    assert server.holds(triton)
    assert cut.attributes["seqway.segments"] == triton.attributes["seqway.rows"] == 1
    assert triton.attributes["seqway.output_tokens"] == tokens
    check_generation(spans, triton, tokens)


def test_a_trace_joins_a_call_to_the_decoder_steps(
    stack: TracedStack, client: Client, exporter: InMemorySpanExporter
) -> None:
    answer = client.translate(TEXT, source="en", target="fr", model=TRANSLATOR)
    call = client_call(exporter, "Translate")
    spans = stack.collector.wait_for(ids(call)[0], lambda all_of: len(all_of) == 7)
    tokens = answer.translations[0].token_counts.output
    assert tokens > 3
    check_call(spans, call, "seqway.v1.TranslationService/Translate", tokens)
    assert call.attributes == {  # type: ignore[attr-defined]
        "rpc.system": "grpc",
        "rpc.service": "seqway.v1.TranslationService",
        "rpc.method": "Translate",
        "rpc.grpc.status_code": 0,
        "server.address": stack.address,
    }


def test_a_stream_is_one_span_from_its_call_to_its_end(
    stack: TracedStack, client: Client, exporter: InMemorySpanExporter
) -> None:
    with client.stream_translate(TEXT, source="en", target="fr", model=TRANSLATOR) as stream:
        next(stream)
        assert exporter.get_finished_spans() == ()
        list(stream)
    assert stream.summary is not None
    call = client_call(exporter, "StreamTranslate")
    spans = stack.collector.wait_for(ids(call)[0], lambda all_of: len(all_of) == 7)
    tokens = stream.summary.token_counts.output
    check_call(spans, call, "seqway.v1.TranslationService/StreamTranslate", tokens)


async def test_calls_of_asyncio_are_traced_too(
    stack: TracedStack, exporter: InMemorySpanExporter
) -> None:
    async with AsyncClient(stack.address, timeout=60) as client:
        answer = await client.translate(TEXT, source="en", target="fr", model=TRANSLATOR)
        call = client_call(exporter, "/Translate")
        spans = stack.collector.wait_for(ids(call)[0], lambda all_of: len(all_of) == 7)
        method = "seqway.v1.TranslationService/Translate"
        check_call(spans, call, method, answer.translations[0].token_counts.output)
        async with client.stream_translate(TEXT, source="en", target="fr") as stream:
            async for _ in stream:
                break
        streamed = client_call(exporter, "StreamTranslate")
        code = grpc.StatusCode.CANCELLED.value[0]
        assert streamed.attributes["rpc.grpc.status_code"] == code  # type: ignore[attr-defined]


def test_each_sentence_has_a_span_of_its_own(
    stack: TracedStack, client: Client, exporter: InMemorySpanExporter
) -> None:
    client.translate([f"{TEXT} {TEXT}", TEXT], source="en", target="fr", model=TRANSLATOR)
    trace_id, _ = ids(client_call(exporter, "Translate"))
    wanted = stack.collector.wait_for(trace_id, lambda spans: len(named(spans, "generate")) == 3)
    spans = stack.collector.wait_for(trace_id, has("triton"))
    triton = one(spans, "triton")
    assert triton.attributes["seqway.rows"] == 3
    assert {span.parent for span in named(wanted, "generate")} == {triton.id}


def test_the_decoder_of_a_beam_search_tells_its_slots(
    stack: TracedStack, client: Client, exporter: InMemorySpanExporter
) -> None:
    client.translate(TEXT, source="en", target="fr", model=TRANSLATOR, options=BEAMS)
    trace_id, _ = ids(client_call(exporter, "Translate"))
    decode = one(stack.collector.wait_for(trace_id, has("decode")), "decode")
    assert decode.attributes["seqway.slots"] == 3
    assert decode.attributes["seqway.steps"] >= decode.attributes["seqway.output_tokens"]


def test_a_trace_joins_a_call_to_the_encoder(
    stack: TracedStack, client: Client, exporter: InMemorySpanExporter
) -> None:
    client.classify([TEXT, "A game for children."], model=CLASSIFIER)
    trace_id, parent = ids(client_call(exporter, "Classify"))
    spans = stack.collector.wait_for(trace_id, lambda all_of: len(all_of) == 4)
    server, triton = rpc(spans), one(spans, "triton")
    assert server.parent == parent
    assert server.holds(triton)
    reads = named(spans, "read")
    assert len(reads) == 2
    assert {span.parent for span in reads} == {triton.id}
    assert {span.service for span in reads} == {"seqway-triton"}
    batches = {span.attributes["seqway.batch"] for span in reads}
    assert len(batches) == 1 and batches.pop() in (2, 3), "a probe may be read beside the two"
    assert all(span.attributes["seqway.input_tokens"] > 2 for span in reads)


def test_a_call_that_fails_tells_its_code_and_reason(
    stack: TracedStack, client: Client, exporter: InMemorySpanExporter
) -> None:
    with pytest.raises(SeqwayError):
        client.translate(TEXT, source="en", target="de")
    call = client_call(exporter, "Translate")
    (span,) = stack.collector.wait_for(ids(call)[0], lambda spans: len(spans) == 1)
    code = grpc.StatusCode.INVALID_ARGUMENT.value[0]
    assert span.attributes["rpc.grpc.status_code"] == code
    assert call.attributes["rpc.grpc.status_code"] == code  # type: ignore[attr-defined]
    assert span.attributes["seqway.reason"] == "UNKNOWN_LANGUAGE_PAIR"
    assert span.attributes["seqway.request_id"]
    assert not span.is_error, "it is the caller's mistake"


def translate_with(stack: TracedStack, traceparent: str) -> str:
    """Has a text translated, and gives the request's id."""
    with grpc.insecure_channel(stack.address) as channel:
        stub = translation_pb2_grpc.TranslationServiceStub(channel)
        request = translation_pb2.TranslateRequest(
            contents=[TEXT], source_language_code="en", target_language_code="fr"
        )
        request_id = f"of-{traceparent}"[:60]
        metadata = (("traceparent", traceparent), ("x-request-id", request_id))
        stub.Translate(request, metadata=metadata, timeout=60)
    return request_id


def test_what_is_not_sampled_is_not_told(stack: TracedStack) -> None:
    hidden, shown = "a" * 32, "b" * 32
    translate_with(stack, UNSAMPLED.format(hidden))
    translate_with(stack, SAMPLED.format(shown))
    names = ("decode", "triton", "cut", "seqway.v1.TranslationService/Translate")
    stack.collector.wait_for(shown, has(*names))
    assert stack.collector.of(hidden) == []


@pytest.mark.parametrize(
    "traceparent", ["no trace", "00-zz-00f067aa0ba902b7-01", "00-" + "0" * 32 + "-" + "1" * 16]
)
def test_a_malformed_traceparent_is_ignored(stack: TracedStack, traceparent: str) -> None:
    request_id = translate_with(stack, traceparent)

    def found(collector: Collector) -> list[Span]:
        spans = list(collector.spans)
        return [span for span in spans if span.attributes.get("seqway.request_id") == request_id]

    stack.collector.wait_for("", lambda _: len(found(stack.collector)) == 1)
    assert found(stack.collector)[0].parent == "", "it begins a trace of its own"


def test_one_trace_joins_each_line_of_a_batch_to_its_result(
    stack: TracedStack, client: Client, exporter: InMemorySpanExporter
) -> None:
    texts = [TEXT, "A small editor.", TEXT, "A font for the console.", "A library for images."]
    lines = [{"text": text, "custom_id": f"id-{n}"} for n, text in enumerate(texts)]
    job = client.jobs.translate(lines, source="en", target="fr", model=TRANSLATOR)
    assert client.jobs.wait(job.id, timeout=60).state is JobState.SUCCEEDED
    results = {one.custom_id: one for one in client.jobs.results(job.id)}
    call = client_call(exporter, "CreateJob")
    trace_id, parent = ids(call)
    spans = stack.collector.wait_for(trace_id, counts(line=5, generate=4, chunk=2, finish=1))
    server = rpc(spans)
    assert server.parent == parent
    assert server.attributes["seqway.job_id"] == job.id
    assert server.attributes["seqway.tenant"] == "default"
    chunks = sorted(named(spans, "chunk"), key=lambda span: span.attributes["seqway.chunk"])
    assert [chunk.attributes["seqway.lines"] for chunk in chunks] == [4, 1]
    for chunk in chunks:
        assert (chunk.service, chunk.parent) == ("seqway-worker", server.id)
        assert chunk.attributes["seqway.job_id"] == job.id
        assert chunk.holds(one([s for s in spans if s.parent == chunk.id], "commit"))
    assert chunks[0].links == (server.id,), "the message tells who sent it"
    finish = one(spans, "finish")
    assert (finish.service, finish.parent) == ("seqway-controller", server.id)
    by_id = {span.attributes["seqway.custom_id"]: span for span in named(spans, "line")}
    assert by_id.keys() == results.keys()
    for name, line in by_id.items():
        assert chunks[line.attributes["seqway.line"] // 4].holds(line)
        assert line.attributes["seqway.status"] == "succeeded"
        own = [span for span in spans if span.parent == line.id]
        if name == "id-2":
            assert own == [], "its text was translated for line 0"
            assert line.links == (by_id["id-0"].id,)
            continue
        generate = one(own, "generate")
        own = [generate, *(span for span in spans if span.parent == generate.id)]
        check_generation(own, line, results[name].token_counts.output)


def test_lines_of_a_batch_that_an_encoder_reads_have_their_own_spans(
    stack: TracedStack, client: Client, exporter: InMemorySpanExporter
) -> None:
    job = client.jobs.classify([TEXT, "A game."], model=CLASSIFIER)
    assert client.jobs.wait(job.id, timeout=60).state is JobState.SUCCEEDED
    trace_id, _ = ids(client_call(exporter, "CreateJob"))
    spans = stack.collector.wait_for(trace_id, counts(read=2, line=2, chunk=1, finish=1))
    lines = named(spans, "line")
    assert {span.parent for span in named(spans, "read")} == {line.id for line in lines}
    assert len(lines) == 2


def test_calls_that_ask_no_model_are_traced_and_probes_are_not(stack: TracedStack) -> None:
    trace_id = "c" * 32
    with grpc.insecure_channel(stack.address) as channel:
        stub = model_pb2_grpc.ModelServiceStub(channel)
        metadata = (("traceparent", SAMPLED.format(trace_id)),)
        stub.ListModels(model_pb2.ListModelsRequest(), metadata=metadata, timeout=60)
    (span,) = stack.collector.wait_for(trace_id, lambda spans: len(spans) == 1)
    assert span.name == "seqway.v1.ModelService/ListModels"
    assert not [span for span in stack.collector.spans if "Health" in span.name]
