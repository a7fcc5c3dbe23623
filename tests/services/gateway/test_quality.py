"""The quality that a variant estimates, on its way to the caller."""

from dataclasses import replace

import pytest
from gateway_stack import MakeStack, Stack
from seqway.v1 import translation_pb2 as pb

from tests.services.twin import QUALITY_MODEL, manifest_of


def request(*contents: str, **more: str) -> pb.TranslateRequest:
    return pb.TranslateRequest(
        contents=contents, source_language_code="en", target_language_code="fr", **more
    )


@pytest.fixture
async def estimating(make_stack: MakeStack) -> Stack:
    """A stack whose variant has a quality model."""
    return await make_stack(manifests=[replace(manifest_of(), quality_model=QUALITY_MODEL)])


async def test_each_segment_has_it_and_the_text_their_mean(estimating: Stack) -> None:
    """The twin says 1 / (1 + words); a text's mean is weighted by its words."""
    text = "One. Two three four."
    [answer] = (await estimating.translation.Translate(request(text))).translations
    assert [each.quality for each in answer.segments] == [0.5, 0.25]
    assert answer.quality == pytest.approx((1 * 0.5 + 3 * 0.25) / 4, abs=1e-4)


async def test_a_stream_says_it_at_the_end(estimating: Stack) -> None:
    asked = pb.StreamTranslateRequest.FromString(request("One.").SerializeToString())
    ends = [
        message.end.translation
        async for message in estimating.translation.StreamTranslate(asked)
        if message.HasField("end")
    ]
    assert [(end.quality, end.segments[0].quality) for end in ends] == [(0.5, 0.5)]


async def test_markup_keeps_it(estimating: Stack) -> None:
    asked = request("<p>One <b>two</b>.</p>", mime_type="text/html")
    [answer] = (await estimating.translation.Translate(asked)).translations
    assert answer.HasField("quality")
    assert answer.segments[0].quality == answer.quality


async def test_a_text_of_white_space_has_none(estimating: Stack) -> None:
    [answer] = (await estimating.translation.Translate(request(" \n"))).translations
    assert not answer.HasField("quality")


async def test_a_variant_without_a_model_gives_none(stack: Stack) -> None:
    [answer] = (await stack.translation.Translate(request("One. Two."))).translations
    assert len(answer.segments) == 2
    assert not answer.HasField("quality")
    assert not any(each.HasField("quality") for each in answer.segments)
