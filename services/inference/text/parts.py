"""Cuts a long text into parts of a size, between paragraphs or sentences where it can."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from services.inference.text.long_sentences import split
from services.inference.text.segmentation import TextSegment, segment

_BLANK_LINES = re.compile(r"[^\S\n]*\n(?:[^\S\n]*\n)+")


@dataclass(frozen=True, slots=True)
class Part:
    """`text[start:end]`, in code points; neither end is white space."""

    start: int
    end: int


def pack(text: str, language: str, size: int, overlap: int = 0) -> list[Part]:
    """Parts of at most `size` code points, in order, that together hold all but white space.

    A paragraph that fits stays whole, then a sentence does; a longer one is cut as `split` cuts.
    With `overlap`, a part begins that many code points before the end of the one before it, at the
    start of a sentence.
    """
    assert size >= 1
    units = list(_units(text, language, size, whole_paragraphs=not overlap))
    parts: list[Part] = []
    first = 0
    while first < len(units):
        last = first
        while last + 1 < len(units) and units[last + 1].end - units[first].start <= size:
            last += 1
        parts.append(Part(units[first].start, units[last].end))
        if last + 1 == len(units):
            break
        first = _next_start(units, first, last, size, overlap)
    return parts


def _next_start(units: list[Part], first: int, last: int, size: int, overlap: int) -> int:
    """Where the next part begins: behind `last`, or before it by no more than the overlap.

    The unit behind `last` always fits, so that every part reaches further than the one before it.
    """
    start, behind = last + 1, units[last + 1].end
    while start - 1 > first:
        earlier = units[start - 1].start
        if units[last].end - earlier > overlap or behind - earlier > size:
            break
        start -= 1
    return start


def _units(text: str, language: str, size: int, *, whole_paragraphs: bool) -> Iterator[Part]:
    """Paragraphs, and the sentences of those that are longer than `size`."""
    for start, end in _paragraphs(text):
        if whole_paragraphs and end - start <= size:
            yield Part(start, end)
            continue
        for sentence in segment(text[start:end], language).segments:
            for piece in _pieces(sentence, size):
                yield Part(start + piece.start, start + piece.end)


def _paragraphs(text: str) -> Iterator[tuple[int, int]]:
    """What stands between blank lines, without the white space around it."""
    start = 0
    for start, end in _between_blank_lines(text):
        paragraph = text[start:end]
        core = paragraph.strip()
        if core:
            start += len(paragraph) - len(paragraph.lstrip())
            yield start, start + len(core)


def _between_blank_lines(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    for gap in _BLANK_LINES.finditer(text):
        yield start, gap.start()
        start = gap.end()
    yield start, len(text)


def _pieces(sentence: TextSegment, size: int) -> Iterator[TextSegment]:
    """The sentence, cut in half until the halves fit."""
    waiting = [sentence]
    while waiting:
        piece = waiting.pop()
        if len(piece.text) <= max(size, 1):
            yield piece
        else:
            waiting.extend(reversed(split(piece)))
