"""Calls under way go on when Triton, or a model's process, was lost and is back."""

from typing import Any

import grpc
import pytest
from gateway_stack import MakeStack, Stack, failure, wait_until
from seqway.v1 import classification_pb2
from seqway.v1 import translation_pb2 as pb

from services.inference.errors import ModelNotReadyError
from services.inference.rows.recovery import Transcript
from tests.services.twin import Twin, classifier, manifest_of
from tests.services.twin import stream as stream_of_twin

TEXT = "One small step. Another small step. " * 5


async def undisturbed(stack: Stack) -> str:
    return str((await translate(stack)).translations[0].text)


def translate(stack: Stack) -> Any:
    request = pb.TranslateRequest(
        contents=[TEXT], source_language_code="en", target_language_code="fr"
    )
    return stack.translation.Translate(request)


def stream(stack: Stack) -> Any:
    request = pb.StreamTranslateRequest(
        contents=[TEXT], source_language_code="en", target_language_code="fr"
    )
    return stack.translation.StreamTranslate(request)


async def text_of(call: Any, said: str = "") -> str:
    while (response := await call.read()) is not grpc.aio.EOF:
        if response.HasField("delta"):
            said += response.delta.text
    return said


async def first(call: Any) -> str:
    return str((await call.read()).delta.text)


async def lose_triton(stack: Stack) -> None:
    await stack.twin.stop()
    stack.twin.gate.set()


async def test_calls_go_on_where_they_were_when_triton_is_back(make_stack: MakeStack) -> None:
    stack = await make_stack(triton_patience=20.0)
    expected = await undisturbed(stack)
    stack.twin.gate.clear()
    streamed, whole = stream(stack), translate(stack)
    said = await first(streamed)
    assert said
    assert expected != said
    await wait_until(lambda: stack.twin.requests >= 3)
    await lose_triton(stack)
    await wait_until(stack.does_not_serve)
    await stack.twin.start()
    assert await text_of(streamed, said) == expected
    assert (await whole).translations[0].text == expected


async def test_of_two_tritons_one_may_leave_and_come_back(make_stack: MakeStack) -> None:
    manifests = [manifest_of("int8")]
    tritons = [Twin(manifests), Twin(manifests)]
    for triton in tritons:
        await triton.start()
    try:
        stack = await make_stack(
            triton_url="ipv4:" + ",".join(triton.url for triton in tritons),
            triton_patience=20.0,
            triton_streams=4,
            triton_stream_age=0.2,
        )
        expected = await undisturbed(stack)
        for triton in tritons * 2:
            calls = [translate(stack) for _ in range(20)]
            await triton.stop()
            calls += [translate(stack) for _ in range(20)]
            assert await stack.serves()
            for call in calls:
                assert (await call).translations[0].text == expected
            await triton.start()
            before = triton.requests

            async def is_back(triton: Twin = triton, before: int = before) -> bool:
                await translate(stack)
                return triton.requests > before

            await wait_until(is_back)
    finally:
        for triton in tritons:
            await triton.stop()


async def test_a_call_of_many_requests_outlives_a_loss(make_stack: MakeStack) -> None:
    """Rows with a seed go in requests of their own, and all of them are lost at once."""
    stack = await make_stack(triton_patience=20.0)
    request = pb.TranslateRequest(
        contents=["One small step."] * 5, source_language_code="en", target_language_code="fr"
    )
    request.options.sampling.seed = 7
    stack.twin.gate.clear()
    call = stack.translation.Translate(request)
    await wait_until(lambda: stack.twin.running == 5)
    await lose_triton(stack)
    await wait_until(stack.does_not_serve)
    await stack.twin.start()
    assert [each.text for each in (await call).translations] == ["ONE SMALL STEP."] * 5


async def test_a_line_that_is_full_after_a_loss_is_waited_for(make_stack: MakeStack) -> None:
    stack = await make_stack(triton_patience=20.0)
    request = pb.StreamTranslateRequest(
        contents=["One small step."], source_language_code="en", target_language_code="fr"
    )
    stack.twin.gate.clear()
    calls = [stack.translation.StreamTranslate(request) for _ in range(3)]
    for call in calls:
        assert await first(call) == "ONE"
    await stack.twin.stop()
    stack.twin.capacity = 1
    await stack.twin.start()
    await wait_until(lambda: stack.twin.running == 1)
    stack.twin.gate.set()
    for call in calls:
        assert await text_of(call, "ONE") == "ONE SMALL STEP."


async def test_a_call_waits_no_longer_than_it_may(make_stack: MakeStack) -> None:
    stack = await make_stack(triton_patience=0.5)
    stack.twin.gate.clear()
    call = translate(stack)
    await wait_until(lambda: stack.twin.running > 0)
    await lose_triton(stack)
    assert (await failure(call))[:2] == ("UNAVAILABLE", "TRITON_UNAVAILABLE")


async def test_a_deadline_ends_the_wait(make_stack: MakeStack) -> None:
    stack = await make_stack(triton_patience=60.0)
    stack.twin.gate.clear()
    request = pb.TranslateRequest(
        contents=[TEXT], source_language_code="en", target_language_code="fr"
    )
    call = stack.translation.Translate(request, timeout=1.5)
    await wait_until(lambda: stack.twin.running > 0)
    await lose_triton(stack)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_a_text_that_ends_triton_each_time_is_not_sent_for_ever(
    make_stack: MakeStack,
) -> None:
    stack = await make_stack(triton_patience=60.0)
    losses = 0
    stack.twin.gate.clear()
    call = translate(stack)
    while not call.done() and losses < 10:
        await wait_until(lambda: stack.twin.running > 0 or call.done())
        if call.done():
            break
        losses += 1
        await stack.twin.stop()
        # What it ran is gone: it must not count for the next one.
        await wait_until(lambda: stack.twin.running == 0)
        await stack.twin.start()
    assert losses == 3
    assert (await failure(call))[:2] == ("UNAVAILABLE", "TRITON_UNAVAILABLE")
    stack.twin.gate.set()


@pytest.mark.parametrize("words", [["ELSE"] * 6, ["ONE"]], ids=["other", "shorter"])
async def test_an_answer_that_changed_is_not_glued_together(
    words: list[str], make_stack: MakeStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = await make_stack(triton_patience=20.0)
    request = pb.StreamTranslateRequest(
        contents=["One small step."], source_language_code="en", target_language_code="fr"
    )
    monkeypatch.setattr(stream_of_twin, "answer", lambda *_: ["ONE", "SMALL", "STEP."])
    stack.twin.gate.clear()
    call = stack.translation.StreamTranslate(request)
    assert await first(call) == "ONE"
    await lose_triton(stack)
    monkeypatch.setattr(stream_of_twin, "answer", lambda *_: words)
    await stack.twin.start()
    if words == ["ONE"]:
        assert await text_of(call, "ONE") == "ONE", "all that was said is still true"
    else:
        assert (await failure(text_of(call)))[:2] == ("UNAVAILABLE", "MODEL_NOT_READY")


def test_a_transcript_gives_what_is_new() -> None:
    transcript = Transcript()
    assert [transcript.add("ab"), transcript.add("c")] == ["ab", "c"]
    transcript.restart()
    assert [transcript.add(each) for each in ("a", "bcd", "e")] == ["", "d", "e"]
    transcript.restart()
    assert transcript.add("abcde", ends=True) == ""
    transcript.restart()
    with pytest.raises(ModelNotReadyError):
        transcript.add("abc", ends=True)
    transcript.restart()
    with pytest.raises(ModelNotReadyError):
        transcript.add("abx")


async def test_encoders_are_asked_again(make_stack: MakeStack) -> None:
    stack = await make_stack(triton_patience=20.0, manifests=[classifier()])
    request = classification_pb2.ClassifyRequest(contents=["A text."])
    expected = await stack.classification.Classify(request)
    stack.twin.gate.clear()
    call = stack.classification.Classify(request)
    await wait_until(lambda: stack.twin.running > 0)
    await lose_triton(stack)
    await wait_until(stack.does_not_serve)
    await stack.twin.start()
    answered = await call
    assert answered.classifications == expected.classifications


async def test_a_text_that_loses_the_gpu_each_time_is_not_sent_for_ever(
    make_stack: MakeStack,
) -> None:
    stack = await make_stack(triton_patience=60.0)
    stack.twin.failing, stack.twin.lost = "CANCELLED", True
    before = stack.twin.requests
    assert (await failure(translate(stack)))[:2] == ("UNAVAILABLE", "MODEL_NOT_READY")
    assert stack.twin.requests - before == 3
