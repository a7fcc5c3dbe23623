import asyncio
from dataclasses import replace
from typing import Any

import grpc
import pytest
from gateway_stack import MakeStack, Stack, failure, wait_until
from seqway.v1 import generation_pb2 as generation
from seqway.v1 import summarization_pb2 as pb

from tests.services.twin import manifest_of, summarizer

LONG = "\n\n".join(f"Paragraph {n} has a few words. There is a bit more of it." for n in range(60))


@pytest.fixture
async def stack(make_stack: MakeStack) -> Stack:
    return await make_stack(manifests=[summarizer()])


def request(*contents: str, **more: Any) -> pb.SummarizeRequest:
    return pb.SummarizeRequest(contents=contents, **more)


async def collect(call: Any, count: int) -> tuple[list[str], dict[int, pb.Summary], list[Any]]:
    """The text of each content, the ends, and the progress and closing messages of a stream."""
    texts = [""] * count
    ends: dict[int, pb.Summary] = {}
    others = []
    while (message := await call.read()) is not grpc.aio.EOF:
        if message.HasField("delta"):
            assert message.delta.content_index not in ends
            texts[message.delta.content_index] += message.delta.text
        elif message.HasField("end"):
            ends[message.end.content_index] = message.end.summary
        else:
            others.append(message)
    return texts, ends, others


async def summarize(stack: Stack, *contents: str, **more: Any) -> list[pb.Summary]:
    answer = await stack.summarization.Summarize(request(*contents, **more), timeout=60)
    assert answer.model == "summary_fp32"
    return list(answer.summaries)


async def test_a_text_goes_whole_to_the_model(stack: Stack) -> None:
    text = "A text\n\n  in two paragraphs. With three sentences. And nine words."
    [summary] = await summarize(stack, text)
    assert stack.twin.texts == [text]
    assert summary.text == "A AND" and summary.levels == 0 and not summary.dropped
    [part] = summary.parts
    assert (part.source_start, part.source_end, part.text) == (0, len(text), "")
    assert summary.finish_reason == generation.FINISH_REASON_EOS and not summary.warnings
    assert (summary.token_counts.output, summary.log_prob) == (2, -1.0)


async def test_a_long_text_is_summarized_in_parts(stack: Stack) -> None:
    stack.twin.limit = 100
    [summary] = await summarize(stack, LONG)
    assert summary.levels >= 1 and len(summary.parts) > 5 and not summary.dropped
    covered = " ".join(LONG[p.source_start : p.source_end] for p in summary.parts)
    assert covered.split() == LONG.split()
    for part in summary.parts:
        words = LONG[part.source_start : part.source_end].upper().split()
        assert part.text == " ".join(words[::8])
    assert len(summary.text) < len(LONG) / 50
    assert "parts" in summary.warnings[0]


async def test_stream_concatenates_to_the_unary_answer(stack: Stack) -> None:
    stack.twin.limit = 100
    contents = (LONG, "short and sweet", " \n ", "x" * 1000, LONG[:900])
    whole = await summarize(stack, *contents)
    call = stack.summarization.StreamSummarize(
        pb.StreamSummarizeRequest.FromString(request(*contents).SerializeToString())
    )
    texts, ends, others = await collect(call, len(contents))
    assert texts == [each.text for each in whole]
    for index, each in enumerate(whole):
        each.text = ""
        assert ends[index] == each
    closing = others[-1].summary
    assert closing.model == "summary_fp32"
    assert closing.token_counts.input == sum(each.token_counts.input for each in whole)


async def test_progress_counts_every_part_and_only_the_last_generation_streams(
    stack: Stack,
) -> None:
    stack.twin.limit = 100
    call = stack.summarization.StreamSummarize(pb.StreamSummarizeRequest(contents=[LONG]))
    _, ends, others = await collect(call, 1)
    progress = [each.progress for each in others if each.HasField("progress")]
    assert progress[0].parts_done == 0
    for level in range(ends[0].levels):
        of_level = [each for each in progress if each.level == level]
        assert of_level[-1].parts_done == of_level[-1].parts_total
        done = [each.parts_done for each in of_level]
        assert done == sorted(done)
    assert len(ends[0].parts) == [p for p in progress if p.level == 0][-1].parts_total
    wholes = [asked for asked in stack.twin.options if asked["stream"]]
    assert len(wholes) == ends[0].levels + 1


async def test_twenty_thousand_words(stack: Stack) -> None:
    text = " ".join(f"word{n}." if n % 13 == 0 else f"word{n}" for n in range(20_000))
    [summary] = await summarize(stack, text)
    assert not summary.dropped and summary.levels == 3 and len(summary.parts) > 50
    assert max(map(len, stack.twin.texts)) <= 16 * 512, "the engine had to tokenize too much"


async def test_a_part_of_which_nothing_is_said_is_dropped_and_said(stack: Stack) -> None:
    stack.twin.limit = 100
    silent = "~ " * 500
    text = f"{LONG[:600]}\n\n{silent}\n\n{LONG[:600]}"
    [summary] = await summarize(stack, text)
    assert summary.text and summary.dropped
    for span in summary.dropped:
        assert span.reason and set(text[span.source_start : span.source_end]) == {"~", " "}


async def test_a_level_that_does_not_shrink_is_the_last(stack: Stack) -> None:
    stack.twin.limit = 1
    text = "abcd efgh ijkl"
    [summary] = await asyncio.wait_for(summarize(stack, text), 20)
    assert "".join(summary.text.split()) == "ABCDEFGHIJKL"
    assert any("no shorter" in each for each in summary.warnings)
    assert not summary.dropped and summary.levels == 0


@pytest.mark.parametrize(
    ("length", "options", "sent"),
    [
        (pb.SUMMARY_LENGTH_UNSPECIFIED, {}, (None, None)),
        (pb.SUMMARY_LENGTH_SHORT, {}, (16, 32)),
        (pb.SUMMARY_LENGTH_MEDIUM, {}, (16, 64)),
        (pb.SUMMARY_LENGTH_LONG, {}, (32, None)),
        (pb.SUMMARY_LENGTH_LONG, {"max_new_tokens": 9}, (9, 9)),
        (pb.SUMMARY_LENGTH_SHORT, {"min_new_tokens": 60}, (60, 60)),
        (pb.SUMMARY_LENGTH_SHORT, {"min_new_tokens": 0, "max_new_tokens": 100}, (0, 100)),
    ],
)
async def test_lengths_are_shares_of_the_models(
    stack: Stack, length: Any, options: dict[str, int], sent: tuple[int | None, int | None]
) -> None:
    await summarize(stack, "Some text.", length=length, options=options)
    [asked] = stack.twin.options
    assert (asked.get("min_new_tokens"), asked.get("max_new_tokens")) == sent


async def test_a_summarizer_of_many_languages_is_told_which(make_stack: MakeStack) -> None:
    many = replace(summarizer(), source_languages=("en", "de"), target_languages=("de", "en"))
    stack = await make_stack(manifests=[many])
    await summarize(stack, "Ein Text.", language_code="de-CH")
    [asked] = stack.twin.options
    assert (asked["source_language"], asked["target_language"]) == ("de", "de")
    call = stack.summarization.Summarize(request("Un texte.", language_code="fr"))
    expected = ("INVALID_ARGUMENT", "UNKNOWN_LANGUAGE_PAIR", "language_code")
    assert await failure(call) == expected


async def test_options_of_the_answer_are_not_those_of_the_parts(stack: Stack) -> None:
    stack.twin.limit = 100
    options = {"max_new_tokens": 3, "num_beams": 4, "num_hypotheses": 2, "target_prefix": "So"}
    [summary] = await summarize(stack, LONG, options=options)
    assert summary.text.startswith("So ") and len(summary.alternatives) == 1
    ours = [asked for asked in stack.twin.options if "target_prefix" in asked]
    parts = [asked for asked in stack.twin.options if "target_prefix" not in asked]
    assert ours and parts and all(asked["num_beams"] == 4 for asked in (*ours, *parts))
    assert all(asked["max_new_tokens"] == 3 and asked["num_hypotheses"] == 2 for asked in ours)
    assert not any({"max_new_tokens", "num_hypotheses"} & asked.keys() for asked in parts)
    assert not any(part.text.startswith("So") for part in summary.parts)


@pytest.mark.parametrize(
    ("bad", "expected"),
    [
        (request(), ("INVALID_ARGUMENT", "FIELD_REQUIRED", "contents")),
        (request("a", length=9), ("INVALID_ARGUMENT", "INVALID_OPTION", "length")),
        (
            request("a", options={"num_beams": 9}),
            ("INVALID_ARGUMENT", "INVALID_OPTION", "options.num_beams"),
        ),
        (request("a", model="nope"), ("NOT_FOUND", "UNKNOWN_MODEL", "model")),
        (request("a", model="en-fr"), ("NOT_FOUND", "UNKNOWN_MODEL", "model")),
    ],
)
async def test_bad_requests(
    make_stack: MakeStack, bad: pb.SummarizeRequest, expected: tuple[str, str, str]
) -> None:
    stack = await make_stack(manifests=[summarizer(), manifest_of()])
    assert await failure(stack.summarization.Summarize(bad)) == expected
    same = pb.StreamSummarizeRequest.FromString(bad.SerializeToString())
    assert await failure(stack.summarization.StreamSummarize(same).read()) == expected


async def test_leaving_and_deadlines_cancel_upstream(stack: Stack) -> None:
    stack.twin.limit = 100
    stack.twin.gate.clear()
    call = stack.summarization.StreamSummarize(pb.StreamSummarizeRequest(contents=[LONG]))
    assert (await call.read()).HasField("progress")
    await wait_until(lambda: stack.twin.running > 5)
    call.cancel()
    await wait_until(lambda: stack.twin.running == 0 and stack.twin.cancelled > 5)
    late = stack.summarization.Summarize(request("a " * 20), timeout=0.3)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await late
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    await wait_until(lambda: stack.twin.running == 0)


async def test_a_model_that_takes_nothing_drops_everything_and_says_so(stack: Stack) -> None:
    stack.twin.limit = 0
    [summary] = await asyncio.wait_for(summarize(stack, "ab c"), 20)
    spans = [(span.source_start, span.source_end) for span in summary.dropped]
    assert summary.text == "" and spans == [(0, 1), (1, 2), (3, 4)]
    assert {span.reason for span in summary.dropped} == {
        "one character has more tokens than the model takes"
    }
