import asyncio

import grpc
from seqway import AsyncClient, Client, FinishReason, TextDelta
from seqway.v1 import generation_pb2, translation_pb2, translation_pb2_grpc

from tests.integration import texts
from tests.integration.conftest import INT8, Alone
from tests.integration.gauges import Gauges

STREAMS = 64


async def test_each_of_64_streams_answers_as_alone(
    variant: str, alone: Alone, async_client: AsyncClient, gauges: Gauges
) -> None:
    contents = texts.spread(STREAMS)
    expected = [alone(variant, text).text for text in contents]
    before = gauges.wait_for_rows(variant, 0)

    async def streamed(text: str) -> str:
        call = async_client.stream_translate(text, source="en", target="fr", model=variant)
        return "".join([piece async for piece in call.text()])

    answers = await asyncio.gather(*map(streamed, contents))
    different = [pair for pair in zip(answers, expected, strict=True) if pair[0] != pair[1]]
    assert len(different) <= 1, different  # a numerical tie may flip one
    after = gauges.wait_for_rows(variant, 0)
    # How many share one is a matter of how fast the engine is beside those who ask.
    steps = after.steps - before.steps
    assert after.tokens - before.tokens > 1.2 * steps, "they shared no steps"


def test_several_texts_in_one_call_answer_as_alone(client: Client, alone: Alone) -> None:
    contents = texts.short(8) + texts.long_sentences(2)
    answer = client.translate(contents, source="en", target="fr", model=INT8)
    assert [one.text for one in answer.translations] == [
        alone(INT8, text).text for text in contents
    ]


def test_each_text_of_a_call_has_its_own_stream(client: Client, alone: Alone) -> None:
    contents = texts.short(6)
    pieces = [""] * len(contents)
    with client.stream_translate(contents, source="en", target="fr", model=INT8) as stream:
        for event in stream:
            if isinstance(event, TextDelta):
                pieces[event.content_index] += event.text
    assert pieces == [alone(INT8, text).text for text in contents]
    assert stream.summary is not None
    assert stream.summary.token_counts.output == sum(
        alone(INT8, text).token_counts.output for text in contents
    )


def test_the_caller_may_bound_the_tokens(client: Client, variant: str) -> None:
    [text] = texts.long_sentences(1)
    answer = client.translate(text, source="en", target="fr", model=variant, max_new_tokens=5)
    [translation] = answer.translations
    assert translation.finish_reason is FinishReason.LENGTH
    assert translation.token_counts.output == 5 * len(translation.segments)


def test_bulk_work_leaves_room_for_interactive_calls(
    client: Client, channel: grpc.Channel, alone: Alone, gauges: Gauges
) -> None:
    text = texts.short(1)[0]
    alone(INT8, text)
    translation = translation_pb2_grpc.TranslationServiceStub(channel)
    # Beams have it last; of more text the gateway would hold back the interactive call.
    flood = translation_pb2.TranslateRequest(
        contents=texts.documents(16, 8),
        source_language_code="en",
        target_language_code="fr",
        model=INT8,
        options=generation_pb2.GenerationOptions(
            priority=generation_pb2.PRIORITY_BULK, num_beams=4
        ),
    )
    calls = [translation.Translate.future(flood, timeout=120) for _ in range(4)]
    try:
        gauges.wait_for(INT8, lambda reading: reading.waiting >= 64)
        answer = client.translate(text, source="en", target="fr", model=INT8)
        assert gauges.read(INT8).waiting > 32, "the call waited for the flood to ebb"
        assert not any(call.done() for call in calls)
    finally:
        for call in calls:
            call.cancel()
    assert answer.translations[0].text == alone(INT8, text).text
    gauges.wait_for_rows(INT8, 0)
