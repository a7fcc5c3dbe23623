"""Cuts passages into segments for the model, and segments that are too long into two."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from collections.abc import Set as AbstractSet

from services.inference.markup.excerpt import excerpt
from services.inference.markup.passage import (
    Atom,
    AtomKind,
    Mark,
    MarkedSegment,
    MarkedText,
    MarkKind,
    Passage,
)
from services.inference.markup.source.cdata import Sections
from services.inference.text import long_sentences
from services.inference.text.media_types import MarkupKind
from services.inference.text.segmentation import TextSegment, has_word, segment

_LINE_BREAK = re.compile(r"[\n\r\f]")


class Segmenter:
    """Collects the segments of a source, passage by passage."""

    def __init__(self, source: str, markup: MarkupKind, language: str, sections: Sections) -> None:
        self._source = source
        self._sections = sections
        self._markup = markup
        self._language = language
        self._segments: list[MarkedSegment] = []
        self._end = 0

    def add(self, passage: Passage, *, is_preformatted: bool) -> None:
        """Adds the sentences of a passage; an atom is never cut."""
        joins_lines = self._markup is not MarkupKind.PLAIN and not is_preformatted
        text = _shadow(passage)
        if joins_lines:
            text = _LINE_BREAK.sub(" ", text)
        for start, end in _sentences(text, self._language, passage.atoms):
            if self._needs_model(passage, start, end):
                self._add(passage, start, end, joins_lines)

    def finish(self) -> MarkedText:
        """The segments, and what is left behind the last."""
        return MarkedText(self._segments, self._source[self._end :])

    def _needs_model(self, passage: Passage, start: int, end: int) -> bool:
        """Whether there are words or terms; what has none stays as it is.

        For marks, placeholders, rulers, numbers, emoji and the time codes of subtitles alone a
        model would make up words.
        """
        inside = _atoms_in(passage.atoms, start, end)
        if any(atom.kind is AtomKind.TERM for atom in inside):
            return True
        places = [start, *(place for atom in inside for place in (atom.start, atom.end)), end]
        free = zip(places[::2], places[1::2], strict=True)
        return any(has_word(passage.text[a:b]) for a, b in free)

    def _add(self, passage: Passage, start: int, end: int, joins_lines: bool) -> None:
        known = (self._source, self._markup, self._sections)
        part = _part(passage, start, end, known, self._end, joins_lines=joins_lines)
        self._segments.append(part)
        self._end = part.end


def split(whole: MarkedSegment) -> tuple[MarkedSegment, MarkedSegment]:
    """Two segments that with the gap of the second are `whole`, which must be divisible.

    The cut is where `services.inference.text.long_sentences` makes it, but never in an atom.
    """
    assert whole.can_split
    left, right = long_sentences.split(TextSegment(0, len(whole.text), "", _shadow(whole.passage)))
    end, start = left.end, right.start
    for atom in whole.passage.atoms:
        if atom.start < end < atom.end:
            start = end = atom.start or atom.end
    known = (whole.source, whole.language, whole.sections)
    first = _part(whole.passage, 0, end, known, whole.start - len(whole.gap))
    last = _part(whole.passage, start, len(whole.text), known, first.end, is_last=True)
    return first, last


def _shadow(passage: Passage) -> str:
    """The passage's text, of the same length, with a made-up word for each atom."""
    parts: list[str] = []
    end = 0
    for atom in passage.atoms:
        if atom.kind is AtomKind.REFERENCE:
            continue
        parts += (passage.text[end : atom.start], "X" * (atom.end - atom.start))
        end = atom.end
    return "".join([*parts, passage.text[end:]])


def _sentences(text: str, language: str, atoms: Sequence[Atom]) -> list[tuple[int, int]]:
    spans: list[tuple[int, int]] = []
    for found in segment(text, language).segments:
        if spans and _is_inside(atoms, spans[-1][1], found.start):
            spans[-1] = (spans[-1][0], found.end)
        else:
            spans.append((found.start, found.end))
    return spans


def _is_inside(atoms: Sequence[Atom], end: int, start: int) -> bool:
    """Whether an atom reaches from before `end` to behind `start`."""
    index = bisect_left(atoms, end, key=lambda atom: atom.start) - 1
    return index >= 0 and atoms[index].end > start


def _atoms_in(atoms: Sequence[Atom], start: int, end: int) -> Sequence[Atom]:
    first = bisect_left(atoms, start, key=lambda atom: atom.start)
    return atoms[first : bisect_left(atoms, end, key=lambda atom: atom.start)]


def _part(
    whole: Passage,
    start: int,
    end: int,
    known: tuple[str, MarkupKind, Sections],
    before: int,
    *,
    joins_lines: bool = False,
    is_last: bool = False,
) -> MarkedSegment:
    """The segment of `whole.text[start:end]`; what the segments before it hold ends at `before`.

    The last part of a segment that is split takes all marks that are left.
    """
    atoms = _atoms_in(whole.atoms, start, end)
    # An atom may hold tags around its text.
    text_start = min([whole.source_start(start), *(atom.source_start for atom in atoms[:1])])
    text_end = max([whole.source_end(end), *(atom.source_end for atom in atoms[-1:])])
    marks = _marks_in(whole, start, end, before, text_start, text_end, is_last=is_last)
    if marks:
        text_start = min(text_start, marks[0].source_start)
        text_end = max(text_end, marks[-1].source_end)
    passage = excerpt(whole, start, end, marks, atoms, joins_lines=joins_lines)
    gap = known[0][before:text_start]
    return MarkedSegment(text_start, text_end, gap, passage.text, passage, *known)


def _marks_in(
    whole: Passage,
    start: int,
    end: int,
    before: int,
    text_start: int,
    text_end: int,
    *,
    is_last: bool,
) -> Sequence[Mark]:
    """The marks that have their place between the words of a sentence.

    Those at its edges stay outside, unless they belong to an element that starts or ends inside, or
    stood within an atom.
    """
    marks = whole.marks
    first = bisect_left(marks, start, key=_position)
    inside = bisect_right(marks, start, key=_position)
    at_end = bisect_left(marks, end, key=_position)
    last = bisect_right(marks, end, key=_position)
    ended = {mark.pair for mark in marks[inside:at_end] if mark.kind is MarkKind.CLOSE}
    while first < inside and (
        marks[first].source_start < before
        or not (marks[first].source_start >= text_start or _opens_one_of(marks[first], ended))
    ):
        first += 1
    started = {mark.pair for mark in marks[first:at_end] if mark.kind is MarkKind.OPEN}
    while (
        not is_last
        and last > at_end
        and not (
            marks[last - 1].source_start < text_end or _closes_one_of(marks[last - 1], started)
        )
    ):
        last -= 1
    return marks[first:last]


def _position(mark: Mark) -> int:
    return mark.position


def _opens_one_of(mark: Mark, pairs: AbstractSet[int]) -> bool:
    return mark.kind is MarkKind.OPEN and mark.pair in pairs


def _closes_one_of(mark: Mark, pairs: AbstractSet[int]) -> bool:
    return mark.kind is MarkKind.CLOSE and mark.pair in pairs
