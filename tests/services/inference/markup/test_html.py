"""HTML comes back with the same tags, well formed where it was, whatever the model does."""

import random
import re
from collections import Counter
from html import unescape
from html.parser import HTMLParser
from typing import Any

import pytest

from services.inference.markup.elements import VOID
from tests.services.inference.markup.fragments import BROKEN, WELL_FORMED, broken, well_formed
from tests.services.inference.markup.models import MODELS, Model, translate

SEEDS = range(150)
TAG = re.compile(r"</?[A-Za-z][^<>]*>|<!--(?:-?>|.*?-->)", re.DOTALL)


class Reader(HTMLParser):
    """What an independent parser sees: its tags and the like, and whether tags are nested."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.seen: Counter[tuple[Any, ...]] = Counter()
        self.is_nested = True
        self.text = ""
        self._open: list[str] = []
        self.feed(source)
        self.close()
        self.is_nested = self.is_nested and not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen["start", tag, *attrs] += 1
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen["empty", tag, *attrs] += 1

    def handle_endtag(self, tag: str) -> None:
        self.seen["end", tag] += 1
        if not self._open or self._open.pop() != tag:
            self.is_nested = False

    def handle_comment(self, data: str) -> None:
        self.seen["comment", data] += 1

    def handle_decl(self, decl: str) -> None:
        self.seen["declaration", decl] += 1

    def handle_pi(self, data: str) -> None:
        self.seen["instruction", data] += 1

    def handle_data(self, data: str) -> None:
        self.text += data


def check(source: str, model: Model, **how: Any) -> None:
    output, _ = translate(source, "text/html", model, **how)
    before, after = Reader(source), Reader(output)
    assert after.seen == before.seen, output
    assert after.is_nested or not before.is_nested, output


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_written_fragments(model: Model) -> None:
    for source in WELL_FORMED:
        assert Reader(source).is_nested
        check(source, model)
        check(source, model, with_links=True)
        check(source, model, limit=8)


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_broken_fragments(model: Model) -> None:
    for source in BROKEN:
        for how in ({}, {"with_links": True}, {"limit": 8}):
            output, _ = translate(source, "text/html", model, **how)
            assert Counter(TAG.findall(output)) == Counter(TAG.findall(source)), (source, output)


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_random_fragments(model: Model) -> None:
    for seed in SEEDS:
        source = well_formed(random.Random(seed))
        check(source, model)
        check(source, model, with_links=True, limit=random.Random(seed).randrange(3, 60))


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_random_broken_fragments(model: Model) -> None:
    for seed in SEEDS:
        source = broken(random.Random(seed))
        output, _ = translate(source, "text/html", model, with_links=seed % 2 == 0)
        assert Counter(TAG.findall(output)) == Counter(TAG.findall(source)), (source, output)


def test_what_is_translated_as_itself_stays_itself() -> None:
    for source in [*WELL_FORMED, *(well_formed(random.Random(seed)) for seed in SEEDS)]:
        output, _ = translate(source, "text/html", MODELS["identity"])
        assert "".join(unescape(output).split()) == "".join(unescape(source).split())
