"""Plain text is translated without markup: its code is not loaded, and answers are the same."""

import asyncio
import multiprocessing
import os
import random
import sys
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import pytest
from gateway_stack import Stack, open_channel, wait_until
from seqway.v1 import generation_pb2 as generation
from seqway.v1 import translation_pb2 as pb

from services.foundation.environment import read_settings
from services.gateway.server import Gateway
from services.gateway.settings import GatewaySettings
from services.inference.tasks.translation import translator
from services.inference.text.placeholders import is_prose
from tests.services.twin import Twin, manifest_of

PROSE = [
    "Good morning. How are you?\r\n\n\t* It is 5 % off, for $3 & <more>.\n",
    " \n ",
    "42 --- 🎉",
    "👩‍👩‍👧‍👦 今日は。元気? https is a word",
    "word " * 300 + "x" * 900,
]
FRAGMENTS = [
    *(
        "word ",
        "Mr. ",
        "e\u0301",
        "漢字。",
        "ไทย",
        "مرحبا",
        "👩‍👧",
        "🇫🇷🇫🇷",
        "x" * 90,
        "3.14",
        "ASP.NET ",
    ),
    *(". ", "? ", "! ", ", ", "; ", " — ", "…", "\n", "\r\n\n", "\t", "\u2028", " \u00a0 ", "  "),
    *(
        "* ",
        "2. ",
        "-",
        "---",
        "42",
        "\u3164",
        "\u200b",
        "\ufeff",
        "é",
        "\x00",
        "<",
        ">",
        "&",
        "\\",
    ),
]
KEPT = [
    "{name}",
    "%s",
    "<0>",
    "</0>",
    "&nbsp;",
    "https://a.example/b",
    "a@b.example",
    r"\n",
    "${x}",
]


def request(*contents: str, **fields: Any) -> pb.TranslateRequest:
    return pb.TranslateRequest(
        contents=contents, source_language_code="en", target_language_code="fr", **fields
    )


def _loaded_behind(messages: list[bytes]) -> list[list[str]]:
    return asyncio.run(_translated([pb.TranslateRequest.FromString(each) for each in messages]))


async def _translated(requests: list[pb.TranslateRequest]) -> list[list[str]]:
    """What a gateway has loaded of markup behind each of the requests."""
    twin = Twin([manifest_of("int8")])
    await twin.start()
    os.environ |= {"SEQWAY_TRITON_URL": twin.url, "SEQWAY_GATEWAY_PORT": "0"}
    gateway = Gateway(read_settings(GatewaySettings))
    await gateway.start()
    stack = Stack(twin, gateway, open_channel(f"127.0.0.1:{gateway.port}"))
    try:
        await wait_until(stack.serves)
        return [await _loaded_of_markup(stack, each) for each in requests]
    finally:
        await stack.channel.close()
        await gateway.drain()
        await twin.stop()


async def _loaded_of_markup(stack: Stack, one: pb.TranslateRequest) -> list[str]:
    await stack.translation.Translate(one)
    streamed = pb.StreamTranslateRequest.FromString(one.SerializeToString())
    assert [each async for each in stack.translation.StreamTranslate(streamed)]
    return [name for name in sys.modules if name.startswith("services.inference.markup")]


def test_a_request_of_prose_loads_nothing_of_markup() -> None:
    requests = [request(*PROSE), request(*PROSE, mime_type="text/plain; charset=utf-8")]
    other = request("Good morning, <b>all</b>.", mime_type="text/html")
    messages = [each.SerializeToString() for each in (*requests, other)]
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        *behind_prose, behind_html = pool.submit(_loaded_behind, messages).result()
    assert behind_prose == [[], []]
    assert behind_html


def odd_texts(count: int, fragments: list[str]) -> list[str]:
    chance = random.Random(count)
    return ["".join(chance.choices(fragments, k=chance.randrange(24))) for _ in range(count)]


@pytest.mark.parametrize("limit", [8, 200])
async def test_answers_are_those_of_the_way_of_markup(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    stack.twin.limit = limit
    texts = [*PROSE, *filter(is_prose, odd_texts(400, FRAGMENTS))]
    assert len(texts) > 200
    options = generation.GenerationOptions(
        num_beams=2, num_hypotheses=2, token_log_probs=True, target_prefix="Le"
    )
    one = request(*texts, options=options)
    plain = await stack.translation.Translate(one)
    monkeypatch.setattr(translator, "is_prose", lambda text: False)
    marked = await stack.translation.Translate(one)
    assert list(plain.translations) == list(marked.translations)
    split = [each for each in plain.translations if each.warnings]
    assert split


@pytest.mark.parametrize("kept", KEPT)
def test_what_is_kept_is_no_prose(kept: str) -> None:
    assert not is_prose(f"Good morning {kept} all.")


def test_prose_is_what_markup_keeps_nothing_of() -> None:
    """All that is kept makes another text, or a segment that is not plain, of the source."""
    from services.inference.markup import parse  # not at the top, which the fresh process runs

    texts = odd_texts(3000, FRAGMENTS + KEPT)
    seen = set()
    for text in texts:
        marked = parse(text, "text/plain", "en")
        is_plain = all(each.is_plain for each in marked.segments)
        seen.add((is_prose(text), is_plain))
        assert is_plain or not is_prose(text)
    assert {(True, True), (False, False)} <= seen
