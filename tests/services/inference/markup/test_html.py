"""HTML comes back with the same tags, well formed where it was, whatever the model does."""

import random
import re
from collections import Counter
from html import unescape
from html.parser import HTMLParser
from typing import Any

import pytest

from services.inference.markup import parse
from services.inference.markup.source.elements import VOID
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


@pytest.mark.parametrize(
    ("source", "text", "output"),
    [
        ("&#00000065;&#x0000042;", "AB", "&#00000065;&#x0000042;"),
        ("a &#0; b &#xD800; c &#9999999999; d", "a b c d", None),
        ("&#128; &copy; x", "€ © x", None),
        ("&copyright &ampT", "©right &T", "&copy;right &amp;T"),
        ("fish &#38 chips", "fish & chips", "fish &#38; chips"),
        ("ten&#160km", "ten km", "ten&#160;km"),
    ],
)
def test_references_are_read_as_browsers_do(source: str, text: str, output: str | None) -> None:
    [segment] = parse(source, "text/html", "en").segments
    assert segment.text == text
    assert translate(source, "text/html", MODELS["identity"])[0] == (output or source)


@pytest.mark.parametrize(
    ("tag", "is_translated"),
    [
        ("<p title='say translate=no'>", True),
        ("<p data-translate=no>", True),
        ("<p translate=NO>", False),
        ("<p translate = 'no' translate=yes>", False),
        ('<p title="a" class="x notranslate">', False),
        ("<div translate=no><p translate>", True),
    ],
)
def test_attributes_say_what_is_translated(tag: str, is_translated: bool) -> None:
    segments = parse(f"{tag}Text</p></div>", "text/html", "en").segments
    assert [each.text for each in segments] == (["Text"] if is_translated else [])
