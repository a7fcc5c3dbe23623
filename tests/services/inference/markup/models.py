"""Models that answer badly in every way that was thought of, and one that answers well."""

import random
from collections.abc import Callable, Sequence

from engine.contract.events import Link
from services.inference.markup import (
    MarkedSegment,
    parse,
    render,
    split,
)
from services.inference.text.terms import TermEntry, TermMatch, TermTrie

Model = Callable[[str], str]


def _reversed_words(text: str) -> str:
    return " ".join(reversed(text.split()))


def _without_every_other_word(text: str) -> str:
    return " ".join(text.split()[::2])


def _shuffled(text: str) -> str:
    words = text.split()
    random.Random(text).shuffle(words)
    return " ".join(words)


def _garbage(text: str) -> str:
    chance = random.Random(text)
    alphabet = "ab X12<>&;{}%s$()[]/=\"'!-é\u00a0\u200d漢 "
    return "".join(chance.choices(alphabet, k=chance.randrange(80)))


MODELS: dict[str, Model] = {
    "identity": lambda text: text,
    "upper case": str.upper,
    "lower case": str.lower,
    "reversed words": _reversed_words,
    "reversed letters": lambda text: text[::-1],
    "dropped words": _without_every_other_word,
    "shuffled words": _shuffled,
    "doubled": lambda text: f"{text} {text}",
    "no masks": lambda text: "".join(each for each in text if each not in "X0123456789"),
    "other masks": lambda text: text.replace("X", "X9").replace("{", "{{").replace("%", "%%"),
    "wide masks": lambda text: text.replace("X", "X "),
    "garbage": _garbage,
    "nothing": lambda text: "",
    "white space": lambda text: " \n ",
    "markup": lambda text: f"<b>{text}</i> &amp; <!-- {{name}} %s -->",
    "one word": lambda text: "oui",
}


def random_links(text: str, answer: str, chance: random.Random) -> list[Link]:
    """An alignment that means nothing, with spans that need not be sane."""
    return [
        (at, at + chance.randrange(4), place, place + chance.randrange(4), chance.random())
        for at in range(0, len(answer), 3)
        for place in [chance.randrange(len(text) + 2)]
    ]


def translate(
    source: str,
    mime_type: str,
    model: Model,
    do_not_translate: Sequence[str] = (),
    glossary: Sequence[TermEntry] = (),
    *,
    with_links: bool = False,
    limit: int = 0,
) -> tuple[str, list[TermMatch]]:
    """The source through `model`; segments of more than `limit` characters are split."""
    chance = random.Random(source)
    marked = parse(source, mime_type, "en", TermTrie(do_not_translate, glossary))
    pending = list(reversed(marked.segments))
    output = ""
    matches: list[TermMatch] = []
    end = 0
    while pending:
        segment = pending.pop()
        if limit and len(segment.text) > limit and segment.can_split:
            pending += reversed(split(segment))
            continue
        check_span(source, segment, end)
        end = segment.end
        answer = model(segment.text)
        links = random_links(segment.text, answer, chance) if with_links else ()
        rendered = render(segment, answer, links)
        output += segment.gap
        for match in rendered.glossary_matches:
            start, stop = match.target_start + len(output), match.target_end + len(output)
            matches.append(
                TermMatch(match.entry_index, match.source_start, match.source_end, start, stop)
            )
        output += rendered.text
    return output + marked.tail, matches


def check_span(source: str, segment: MarkedSegment, end: int) -> None:
    """A segment's gap is the source between it and the one before, which ended at `end`."""
    assert end <= segment.start < segment.end <= len(source)
    assert segment.gap == source[end : segment.start]
