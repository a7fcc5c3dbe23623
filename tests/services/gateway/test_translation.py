import asyncio
from dataclasses import replace
from typing import Any

import grpc
import pytest
from gateway_stack import MakeStack, Stack, failure, wait_until
from seqway.v1 import generation_pb2 as generation
from seqway.v1 import translation_pb2 as pb

from tests.services.twin import many_to_many

Request = pb.TranslateRequest
DOCUMENT = "\r\n\r\n".join(f"Paragraph {n} begins. It\tends here." for n in range(200)) + "\n"
TEXTS = [
    "  Hello there.  How are you?\n\n\tFine.\r\n",
    "😀 emoji. 👩‍👩‍👧‍👦!",
    "שלום עולם. مرحبا بالعالم.",
    " \n\t ",
    "x" * 3000,
    DOCUMENT,
]


def request(*contents: str, source: str = "en", target: str = "fr", **more: Any) -> Request:
    return pb.TranslateRequest(
        contents=contents, source_language_code=source, target_language_code=target, **more
    )


def stream_request(*contents: str) -> pb.StreamTranslateRequest:
    return pb.StreamTranslateRequest.FromString(request(*contents).SerializeToString())


async def collect(
    call: Any, count: int
) -> tuple[list[str], dict[int, pb.Translation], pb.StreamSummary]:
    """The text of each content, the ends and the summary of a stream."""
    texts = [""] * count
    ends: dict[int, pb.Translation] = {}
    segments: dict[int, int] = {}
    summary = pb.StreamSummary()
    while (message := await call.read()) is not grpc.aio.EOF:
        assert not summary.model, "something follows the summary"
        if message.HasField("delta"):
            delta = message.delta
            assert delta.content_index not in ends
            assert delta.segment_index >= segments.get(delta.content_index, 0)
            segments[delta.content_index] = delta.segment_index
            texts[delta.content_index] += delta.text
        elif message.HasField("end"):
            ends[message.end.content_index] = message.end.translation
        else:
            summary = message.summary
    return texts, ends, summary


async def test_stream_concatenates_to_the_unary_answer(stack: Stack) -> None:
    unary = await stack.translation.Translate(request(*TEXTS))
    stream = stack.translation.StreamTranslate(stream_request(*TEXTS))
    texts, ends, summary = await collect(stream, len(TEXTS))
    assert texts == [each.text for each in unary.translations] == [t.upper() for t in TEXTS]
    for index, whole in enumerate(unary.translations):
        whole.text = ""
        assert ends[index] == whole
    assert summary.model == unary.model == "en-fr_int8"
    assert summary.finish_reason == generation.FINISH_REASON_EOS
    assert summary.timings.first_token.ToSeconds() + summary.timings.first_token.nanos > 0
    assert summary.timings.first_token.ToNanoseconds() <= summary.timings.total.ToNanoseconds()


async def test_spans_point_at_the_sentences(stack: Stack) -> None:
    text = "  😀 one.  Two three!\n\nFour"
    [answer] = (await stack.translation.Translate(request(text))).translations
    sources = [text[s.source_start : s.source_end] for s in answer.segments]
    targets = [answer.text[s.target_start : s.target_end] for s in answer.segments]
    assert sources == ["😀 one.", "Two three!", "Four"]
    assert targets == [each.upper() for each in sources]


async def test_a_long_document_never_floods_the_engine(make_stack: MakeStack) -> None:
    stack = await make_stack(max_segments_in_flight=8)
    stack.twin.capacity = 8
    [answer] = (await stack.translation.Translate(request(DOCUMENT))).translations
    assert answer.text == DOCUMENT.upper()
    assert len(answer.segments) == 600, "a tab is between columns"


async def test_an_empty_text_among_others_is_its_own_translation(stack: Stack) -> None:
    contents = ["", "A house.", " \n", "---", ""]
    unary = await stack.translation.Translate(request(*contents))
    expected = ["", "A HOUSE.", " \n", "---", ""]
    assert [each.text for each in unary.translations] == expected
    texts, ends, _ = await collect(
        stack.translation.StreamTranslate(stream_request(*contents)), len(contents)
    )
    assert texts == expected
    assert sorted(ends) == [0, 1, 2, 3, 4]
    alone = await stack.translation.Translate(request(""))
    assert [each.text for each in alone.translations] == [""]


async def test_an_over_long_sentence_is_split_with_a_warning(stack: Stack) -> None:
    stack.twin.limit = 4
    text = "Short. " + "word " * 20 + "end."
    [answer] = (await stack.translation.Translate(request(text))).translations
    assert answer.text == text.upper()
    assert len(answer.segments) > 5
    assert [w for w in answer.warnings if "sentence was split" in w] == list(answer.warnings)
    assert len(answer.warnings) == 1


async def test_options_reach_the_engine(stack: Stack) -> None:
    options = generation.GenerationOptions(max_new_tokens=1, priority=generation.PRIORITY_BULK)
    answer = await stack.translation.Translate(
        request("One two", options=options, model="en-fr_fp32"), timeout=5
    )
    assert answer.model == "en-fr_fp32"
    assert answer.translations[0].finish_reason == generation.FINISH_REASON_LENGTH
    [sent] = stack.twin.options
    assert 4000 < sent.pop("deadline_ms") < 5000
    languages = {"source_language": "en", "target_language": "fr"}
    chosen = {"max_new_tokens": 1, "priority": "bulk", "stream": False, "tenant": "default"}
    assert sent == chosen | languages


async def test_many_calls_share_few_streams(stack: Stack) -> None:
    stack.twin.gate.clear()
    calls = [
        asyncio.create_task(
            collect(stack.translation.StreamTranslate(stream_request(f"call {n} a. b c")), 1)
        )
        for n in range(64)
    ]
    await wait_until(lambda: stack.twin.requests == 64)
    assert stack.twin.streams == 2
    stack.twin.gate.set()
    for n, (texts, _, _) in enumerate(await asyncio.gather(*calls)):
        assert texts == [f"CALL {n} A. B C"]
    assert stack.twin.cancel_requests == 0


async def test_leaving_cancels_upstream_and_nothing_else(stack: Stack) -> None:
    stack.twin.gate.clear()
    leaving = stack.translation.StreamTranslate(stream_request("go away now"))
    staying = stack.translation.StreamTranslate(stream_request("stay here now"))
    assert (await leaving.read()).delta.text == "GO"
    assert (await staying.read()).delta.text == "STAY"
    leaving.cancel()
    await wait_until(lambda: stack.twin.cancelled == 1 and stack.twin.running == 1)
    stack.twin.gate.set()
    texts, _, _ = await collect(staying, 1)
    assert texts == [" HERE NOW"]


async def test_half_of_many_leave(stack: Stack) -> None:
    stack.twin.gate.clear()
    calls = [
        stack.translation.StreamTranslate(stream_request(f"caller {n} waits")) for n in range(32)
    ]
    await asyncio.gather(*(call.read() for call in calls))
    for call in calls[::2]:
        call.cancel()
    await wait_until(lambda: stack.twin.running == 16)
    stack.twin.gate.set()
    answers = await asyncio.gather(*(collect(call, 1) for call in calls[1::2]))
    assert [texts[0] for texts, _, _ in answers] == [f" {n} WAITS" for n in range(1, 32, 2)]


@pytest.mark.parametrize(
    ("bad", "expected"),
    [
        (request(), ("INVALID_ARGUMENT", "FIELD_REQUIRED", "contents")),
        (request("a" * 101), ("INVALID_ARGUMENT", "TEXT_TOO_LONG", "contents[0]")),
        (request(*["a" * 90] * 3), ("INVALID_ARGUMENT", "CALL_TOO_LONG", "contents")),
        (request(*"abcde"), ("INVALID_ARGUMENT", "TOO_MANY_CONTENTS", "contents")),
        (request("a", target=" "), ("INVALID_ARGUMENT", "FIELD_REQUIRED", "target_language_code")),
        (
            request("a", source="english"),
            ("INVALID_ARGUMENT", "INVALID_LANGUAGE", "source_language_code"),
        ),
        (
            request("a", target="xx"),
            ("INVALID_ARGUMENT", "INVALID_LANGUAGE", "target_language_code"),
        ),
        (
            request("a", target="de"),
            ("INVALID_ARGUMENT", "UNKNOWN_LANGUAGE_PAIR", "target_language_code"),
        ),
        (
            request("a", mime_type="text/rtf"),
            ("INVALID_ARGUMENT", "UNSUPPORTED_MIME_TYPE", "mime_type"),
        ),
        (
            request("a", mime_type="text/html; charset=latin1"),
            ("INVALID_ARGUMENT", "UNSUPPORTED_MIME_TYPE", "mime_type"),
        ),
        (
            request("a", do_not_translate=["b", " "]),
            ("INVALID_ARGUMENT", "FIELD_REQUIRED", "do_not_translate[1]"),
        ),
        (
            request("a", glossary=[{"source_term": "b"}]),
            ("INVALID_ARGUMENT", "FIELD_REQUIRED", "glossary[0].target_term"),
        ),
        (
            request("a", do_not_translate=["b", "c" * 21]),
            ("INVALID_ARGUMENT", "TEXT_TOO_LONG", "do_not_translate[1]"),
        ),
        (
            request("a", glossary=[{"source_term": "b", "target_term": "c" * 21}]),
            ("INVALID_ARGUMENT", "TEXT_TOO_LONG", "glossary[0].target_term"),
        ),
        (
            request("a", glossary=[{"source_term": "b", "target_term": "c"}] * 3),
            ("INVALID_ARGUMENT", "INVALID_OPTION", "glossary"),
        ),
        (request("a", model="nope"), ("NOT_FOUND", "UNKNOWN_MODEL", "model")),
        (
            request("a", options={"max_new_tokens": -1}),
            ("INVALID_ARGUMENT", "INVALID_OPTION", "options.max_new_tokens"),
        ),
        (
            request("a", options={"priority": 9}),
            ("INVALID_ARGUMENT", "INVALID_OPTION", "options.priority"),
        ),
    ],
)
async def test_bad_requests(
    make_stack: MakeStack, bad: pb.TranslateRequest, expected: tuple[str, str, str]
) -> None:
    stack = await make_stack(
        max_text_characters=100,
        max_call_characters=200,
        max_contents=4,
        max_terms=2,
        max_term_characters=20,
    )
    assert await failure(stack.translation.Translate(bad)) == expected
    same = pb.StreamTranslateRequest.FromString(bad.SerializeToString())
    assert await failure(stack.translation.StreamTranslate(same).read()) == expected
    assert (await stack.translation.Translate(request("fine"))).translations[0].text == "FINE"


async def test_a_deadline_of_a_millisecond(stack: Stack) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stack.translation.Translate(request("late"), timeout=0.001)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert (await stack.translation.Translate(request("fine"))).translations[0].text == "FINE"


async def test_a_passing_deadline_says_why_and_cancels(make_stack: MakeStack) -> None:
    # The gateway's deadline passes long before the one that gRPC itself holds the call to.
    stack = await make_stack(deadline_margin=9.7)
    stack.twin.gate.clear()
    call = stack.translation.Translate(request("one two"), timeout=10.0)
    assert await failure(call) == ("DEADLINE_EXCEEDED", "DEADLINE_PASSED", "")
    await wait_until(lambda: stack.twin.running == 0)
    call = stack.translation.Translate(request("one two"), timeout=5.0)
    assert await failure(call) == ("DEADLINE_EXCEEDED", "DEADLINE_PASSED", "")


async def test_a_refusal_tells_when_to_come_back(stack: Stack) -> None:
    stack.twin.capacity = 0
    expected = ("RESOURCE_EXHAUSTED", "OVERLOADED", "")
    assert await failure(stack.translation.Translate(request("full"))) == expected


async def test_admission_is_bounded(make_stack: MakeStack) -> None:
    stack = await make_stack(max_calls=1)
    stack.twin.gate.clear()
    first = stack.translation.StreamTranslate(stream_request("one two"))
    await first.read()
    expected = ("RESOURCE_EXHAUSTED", "OVERLOADED", "")
    assert await failure(stack.translation.Translate(request("two"))) == expected
    assert await stack.serves()
    stack.twin.gate.set()
    assert (await collect(first, 1))[0] == [" TWO"]
    assert (await stack.translation.Translate(request("two"))).translations[0].text == "TWO"


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ({"failing": "ERROR"}, ("INTERNAL", "MODEL_FAILED", "")),
        ({"failing": "CANCELLED"}, ("UNAVAILABLE", "MODEL_NOT_READY", "")),
        ({"error": "Stub process is not healthy."}, ("UNAVAILABLE", "MODEL_NOT_READY", "")),
        ({"error": "bang"}, ("INTERNAL", "MODEL_FAILED", "")),
    ],
)
async def test_faults_of_the_model(
    make_stack: MakeStack, fault: dict[str, str], expected: tuple[str, str, str]
) -> None:
    stack = await make_stack(health_interval=60)
    for name, value in fault.items():
        setattr(stack.twin, name, value)
    assert await failure(stack.translation.Translate(request("a b"))) == expected


async def test_triton_goes_away_and_comes_back(stack: Stack) -> None:
    stack.twin.gate.clear()
    call = stack.translation.StreamTranslate(stream_request("one two"))
    await call.read()
    await stack.twin.stop()
    assert await failure(call.read()) == ("UNAVAILABLE", "TRITON_UNAVAILABLE", "")
    await wait_until(stack.does_not_serve)
    expected = ("UNAVAILABLE", "TRITON_UNAVAILABLE", "")
    assert await failure(stack.translation.Translate(request("a"))) == expected
    stack.twin.gate.set()
    await stack.twin.start()
    await wait_until(stack.serves)
    assert (await stack.translation.Translate(request("again"))).translations[0].text == "AGAIN"


async def test_starts_without_triton(make_stack: MakeStack) -> None:
    stack = await make_stack(triton=False)
    assert not await stack.serves()
    expected = ("UNAVAILABLE", "TRITON_UNAVAILABLE", "")
    assert await failure(stack.translation.Translate(request("a"), timeout=2)) == expected
    await stack.twin.start()
    await wait_until(stack.serves)


async def test_a_malformed_message_leaves_the_process_alive(stack: Stack) -> None:
    raw = stack.channel.unary_unary("/seqway.v1.TranslationService/Translate")
    for message in (b"\xff\xff\xff", b"\x0a\x02\xc3\x28"):
        expected = ("INVALID_ARGUMENT", "MALFORMED_MESSAGE", "")
        assert await failure(raw(message)) == expected
    assert (await stack.translation.Translate(request("fine"))).translations[0].text == "FINE"


async def test_a_message_over_the_limit(make_stack: MakeStack) -> None:
    stack = await make_stack(max_message_bytes=2048)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stack.translation.Translate(request("a" * 4000))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert (await stack.translation.Translate(request("fine"))).translations[0].text == "FINE"


async def test_what_is_refused_is_told_in_so_many_words_as_clients_take(
    make_stack: MakeStack,
) -> None:
    languages = tuple(f"{a}{b}{c}" for a in "abcdefgh" for b in "abcdefgh" for c in "abcdefgh")
    many = {"source_languages": languages, "target_languages": languages}
    world = replace(many_to_many(), **many)
    stack = await make_stack(manifests=[world])
    expected = ("INVALID_ARGUMENT", "UNKNOWN_LANGUAGE_PAIR", "source_language_code")
    assert await failure(stack.translation.Translate(request("a"))) == expected
    call = stack.translation.Translate(request("a", model="é\n" * 50_000))
    assert await failure(call) == ("NOT_FOUND", "UNKNOWN_MODEL", "model")
