"""A call whose variant is lost goes on with another one of the model, if the caller may have it."""

from dataclasses import replace
from typing import Any

import grpc
import pytest
from gateway_stack import MakeStack, Stack, failure, wait_until
from seqway.v1 import classification_pb2, question_answering_pb2, summarization_pb2
from seqway.v1 import translation_pb2 as pb

from engine.contract.manifest import Manifest
from tests.services.twin import (
    classifier,
    extractor,
    generative_answerer,
    summarizer,
)
from tests.services.twin import stream as stream_of_twin

INT8, FP32 = "en-fr_int8", "en-fr_fp32"
MOVED = f"{INT8} stopped: {FP32} completed the answer"
SENTENCE = "One small step for all of us."


def both(manifest: Manifest) -> list[Manifest]:
    """The variant, and a faster one of the same model."""
    name = f"{manifest.base_model}_int8"
    return [manifest, replace(manifest, precision="int8", name=name)]


def request(kind: Any, text: str = SENTENCE, **fields: Any) -> Any:
    return kind(contents=[text], source_language_code="en", target_language_code="fr", **fields)


async def kill(stack: Stack, model: str = INT8) -> None:
    """Kills a model that is at work, and lets the others work on."""
    await wait_until(lambda: stack.twin.running > 0)
    stack.twin.killed.add(model)
    stack.twin.gate.set()


@pytest.fixture
async def stack(make_stack: MakeStack) -> Stack:
    """At its gate; nothing in it waits for a model to come back."""
    made = await make_stack()
    made.twin.gate.clear()
    return made


@pytest.mark.parametrize("model", ["", "en-fr"])
async def test_a_call_goes_on_with_another_variant(stack: Stack, model: str) -> None:
    call = stack.translation.Translate(request(pb.TranslateRequest, model=model), timeout=10)
    await kill(stack)
    answer = await call
    assert answer.translations[0].text == SENTENCE.upper()
    assert answer.model == FP32
    assert list(answer.translations[0].warnings) == [MOVED]


async def test_what_was_done_stays_and_many_sentences_lose_nothing(make_stack: MakeStack) -> None:
    stack = await make_stack(max_segments_in_flight=4)
    text = " ".join(f"Sentence number {n} ends." for n in range(30))
    stack.twin.gate.clear()
    call = stack.translation.Translate(request(pb.TranslateRequest, text), timeout=10)
    await kill(stack)
    assert (await call).translations[0].text == text.upper()


async def test_a_caller_who_named_the_variant_gets_no_other(stack: Stack) -> None:
    call = stack.translation.Translate(request(pb.TranslateRequest, model=INT8), timeout=10)
    await kill(stack)
    assert (await failure(call))[:2] == ("UNAVAILABLE", "MODEL_NOT_READY")
    assert stack.twin.requests == 1


async def test_a_new_call_that_meets_a_dead_variant_takes_another(make_stack: MakeStack) -> None:
    """Before the gateway has looked again, that is."""
    stack = await make_stack(health_interval=60.0)
    stack.twin.killed.add(INT8)
    answer = await stack.translation.Translate(request(pb.TranslateRequest), timeout=10)
    assert answer.model == FP32
    again = await stack.translation.Translate(request(pb.TranslateRequest), timeout=10)
    assert list(again.translations[0].warnings) == []


async def test_silence_is_looked_into_at_once(make_stack: MakeStack) -> None:
    """A request that the process had when it died gets no word of Triton's any more."""
    stack = await make_stack(health_interval=60.0)
    stack.twin.gate.clear()
    call = stack.translation.Translate(request(pb.TranslateRequest), timeout=10)
    await kill(stack)
    assert (await call).model == FP32


async def test_without_another_ready_variant_the_same_one_is_waited_for(
    make_stack: MakeStack,
) -> None:
    stack = await make_stack(triton_patience=20.0)
    stack.twin.gate.clear()
    call = stack.translation.Translate(request(pb.TranslateRequest), timeout=30)
    await wait_until(lambda: stack.twin.running > 0)
    stack.twin.killed |= {INT8, FP32}
    stack.twin.gate.set()
    await wait_until(stack.does_not_serve)
    stack.twin.killed.remove(FP32)
    answer = await call
    assert (answer.model, answer.translations[0].text) == (FP32, SENTENCE.upper())


async def test_a_full_line_is_no_reason_to_move(make_stack: MakeStack) -> None:
    stack = await make_stack(triton_patience=20.0)
    stack.twin.gate.clear()
    calls = [stack.translation.StreamTranslate(request(pb.StreamTranslateRequest)) for _ in "ab"]
    for call in calls:
        await call.read()
    await stack.twin.stop()
    stack.twin.capacity = 1
    await stack.twin.start()
    await wait_until(lambda: stack.twin.running == 1)
    stack.twin.gate.set()
    for call in calls:
        assert (await summary_of(call)).model == INT8


async def summary_of(call: Any) -> Any:
    while not (response := await call.read()).HasField("summary"):
        pass
    return response.summary


async def texts_of(call: Any) -> str:
    said = ""
    while (response := await call.read()) is not grpc.aio.EOF:
        said += response.delta.text
    return said


@pytest.mark.parametrize("first", ["ONE", "ONE SMALL", "ONE SMALL STE"])
async def test_a_stream_goes_on_behind_what_it_has_said(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    """The other variant would say otherwise: it is made to begin with what was said."""

    def by_variant(manifest: Manifest, text: str, options: Any) -> list[str]:
        if manifest.name == INT8:
            return [first, "OF INT8"]
        prefix = options.get("target_prefix", "")
        if prefix:
            return [prefix, "STEP", "OF FP32"] if "SMALL" in prefix else [prefix, "SMALL", "STEP"]
        return ["ONE", "SMALL", "STEP", "OF", "FP32"]

    monkeypatch.setattr(stream_of_twin, "answer", by_variant)
    call = stack.translation.StreamTranslate(request(pb.StreamTranslateRequest), timeout=10)
    assert (await call.read()).delta.text == first
    await kill(stack)
    said = first + await texts_of(call)
    assert said in ("ONE SMALL STEP OF FP32", "ONE SMALL STEP")
    prefix = first.rpartition(" ")[0]
    assert stack.twin.options[-1].get("target_prefix", "") == prefix


async def test_a_stream_that_would_be_contradicted_ends(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    def by_variant(manifest: Manifest, _text: str, _options: Any) -> list[str]:
        return ["ONE", "STEP"] if manifest.name == INT8 else ["QUITE", "ANOTHER"]

    monkeypatch.setattr(stream_of_twin, "answer", by_variant)
    call = stack.translation.StreamTranslate(request(pb.StreamTranslateRequest), timeout=10)
    assert (await call.read()).delta.text == "ONE"
    await kill(stack)
    assert (await failure(texts_of(call)))[:2] == ("UNAVAILABLE", "MODEL_NOT_READY")


async def test_what_nobody_has_read_may_be_said_otherwise(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second text has begun, and its beginning still waits for the end of the first."""

    def by_variant(manifest: Manifest, text: str, _options: Any) -> list[str]:
        if text == "First.":
            return ["ONE", "STEP"]
        return ["OF", "INT8"] if manifest.name == INT8 else ["ANOTHER", "ONE"]

    monkeypatch.setattr(stream_of_twin, "answer", by_variant)
    asked = request(pb.StreamTranslateRequest, "First.\nSecond.")
    call = stack.translation.StreamTranslate(asked, timeout=10)
    assert (await call.read()).delta.text == "ONE"
    await kill(stack)
    assert "ONE" + await texts_of(call) == "ONE STEP\nANOTHER ONE"


async def test_a_bound_on_tokens_is_kept_to(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would count from behind a given beginning: the answer is made anew and compared."""
    monkeypatch.setattr(
        stream_of_twin, "answer", lambda *_: ["ONE SMALL", "STEP", "FOR", "ALL", "OF"]
    )
    asked = request(pb.StreamTranslateRequest)
    asked.options.max_new_tokens = 3
    call = stack.translation.StreamTranslate(asked, timeout=10)
    assert (await call.read()).delta.text == "ONE SMALL"
    await kill(stack)
    assert await texts_of(call) == " STEP FOR"
    assert "target_prefix" not in stack.twin.options[-1]


async def test_summaries_go_on_too(make_stack: MakeStack) -> None:
    stack = await make_stack(manifests=both(summarizer()))
    stack.twin.gate.clear()
    asked = summarization_pb2.SummarizeRequest(contents=["word " * 40])
    call = stack.summarization.Summarize(asked, timeout=10)
    await kill(stack, "summary_int8")
    answer = await call
    assert answer.model == "summary_fp32"
    assert len(answer.summaries[0].warnings) == 1


@pytest.mark.parametrize("manifest", [extractor(), generative_answerer()])
async def test_answers_come_from_another_variant(make_stack: MakeStack, manifest: Manifest) -> None:
    stack = await make_stack(manifests=both(manifest))
    asked = question_answering_pb2.AnswerQuestionRequest(
        question="Which editor?", context="The editor vim is small."
    )
    expected = await stack.questions.AnswerQuestion(asked)
    stack.twin.gate.clear()
    call = stack.questions.AnswerQuestion(asked, timeout=10)
    await kill(stack, expected.model)
    answer = await call
    assert answer.answers == expected.answers
    assert {answer.model, expected.model} == {each.name for each in both(manifest)}


async def test_a_classification_is_one_variants_own(make_stack: MakeStack) -> None:
    stack = await make_stack(manifests=both(classifier()))
    asked = classification_pb2.ClassifyRequest(contents=[f"games {n}" for n in range(100)])
    stack.twin.gate.clear()
    call = stack.classification.Classify(asked, timeout=10)
    await wait_until(lambda: stack.twin.running >= 64)
    stack.twin.killed.add("section_int8")
    stack.twin.gate.set()
    answer = await call
    assert answer.model == "section_fp32"
    assert len(answer.classifications) == 100
