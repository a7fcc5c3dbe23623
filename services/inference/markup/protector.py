"""Turns placeholders, do-not-translate phrases and terms of the glossary into atoms."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from services.inference.markup.passage import (
    Atom,
    AtomKind,
    Mark,
    MarkKind,
    Passage,
)
from services.inference.markup.source.cdata import Sections
from services.inference.markup.source.entities import escape
from services.inference.text.media_types import MarkupKind
from services.inference.text.placeholders import placeholders
from services.inference.text.terms import TermTrie


@dataclass(frozen=True, slots=True)
class _Span:
    start: int
    end: int
    kind: AtomKind
    entry: int = -1


@dataclass(frozen=True, slots=True)
class Protector:
    """Finds what of a source is protected."""

    source: str
    language: MarkupKind
    terms: TermTrie
    sections: Sections

    def protect(self, passage: Passage) -> Passage:
        """The passage with an atom for each; placeholders win over phrases and terms."""
        taken = [
            (atom.start, atom.end) for atom in passage.atoms if atom.kind is not AtomKind.REFERENCE
        ]
        spans: list[_Span] = []
        for found in (_placeholders(passage, taken), self._terms(passage.text)):
            free = [span for span in found if not _overlaps(span.start, span.end, taken)]
            spans += free
            taken = sorted([*taken, *((span.start, span.end) for span in free)])
        if not spans:
            return passage
        return self._with_atoms(passage, sorted(spans, key=lambda span: span.start))

    def _terms(self, text: str) -> Iterator[_Span]:
        for found in self.terms.find(text):
            kind = AtomKind.PHRASE if found.entry < 0 else AtomKind.TERM
            yield _Span(found.start, found.end, kind, found.entry)

    def _with_atoms(self, passage: Passage, spans: Sequence[_Span]) -> Passage:
        covered = [(span.start, span.end) for span in spans]
        atoms = [atom for atom in passage.atoms if not _overlaps(atom.start, atom.end, covered)]
        marks: list[Mark] = []
        done = 0
        positions = [mark.position for mark in passage.marks]
        for span in spans:
            first = bisect_left(positions, span.start + 1)
            last = max(first, bisect_left(positions, span.end))
            inner = passage.marks[first:last]
            if span.kind is not AtomKind.TERM and inner:
                first, last = _with_partners(passage.marks, first, last, span)
                inner = passage.marks[first:last]
            marks += passage.marks[done:first]
            done = last
            is_kept = span.kind is not AtomKind.TERM and _is_balanced(inner)
            if not is_kept:
                marks += _moved_out(inner, span)
            atoms.append(self._atom(passage, span, inner if is_kept else None))
        marks += passage.marks[done:]
        return replace(
            passage, marks=tuple(marks), atoms=tuple(sorted(atoms, key=lambda atom: atom.start))
        )

    def _atom(self, passage: Passage, span: _Span, inner: Sequence[Mark] | None) -> Atom:
        """The atom of `span`, with the markup in it as it is unless `inner` is None."""
        start, end = passage.source_start(span.start), passage.source_end(span.end)
        target = ""
        language = self.sections.language(start) or self.language
        if inner is not None:
            start = min([start, *(mark.source_start for mark in inner)])
            end = max([end, *(mark.source_end for mark in inner)])
            output = self.source[start:end]
        elif span.kind is AtomKind.TERM:
            target = self.terms.glossary[span.entry].target_term
            output = escape(target, passage.spellings, language)
        else:
            text = passage.text[span.start : span.end]
            output = escape(text, passage.spellings, language)
        return Atom(span.start, span.end, output, span.kind, start, end, span.entry, target)


def _placeholders(passage: Passage, taken: Sequence[tuple[int, int]]) -> Iterator[_Span]:
    """The placeholders between what is taken.

    An address ends at a tag whose partner is not in it as well.
    """
    positions = [mark.position for mark in passage.marks]
    edges = [0, *(place for span in taken for place in span), len(passage.text)]
    free = zip(edges[::2], edges[1::2], strict=True)
    for start, end in (found for each in free for found in placeholders(passage.text, *each)):
        first = bisect_left(positions, start + 1)
        last = bisect_left(positions, end)
        if first < last:
            span = _Span(start, end, AtomKind.PLACEHOLDER)
            low, high = _with_partners(passage.marks, first, last, span)
            head = passage.text[start : positions[first]]
            if not _is_balanced(passage.marks[low:high]) and [(0, len(head))] == list(
                placeholders(head)
            ):
                end = positions[first]
        yield _Span(start, end, AtomKind.PLACEHOLDER)


def _overlaps(start: int, end: int, spans: Sequence[tuple[int, int]]) -> bool:
    """Whether one of `spans`, which are in order and do not overlap, overlaps `[start, end)`."""
    index = bisect_left(spans, (end, -1))
    return index > 0 and spans[index - 1][1] > start


def _with_partners(marks: Sequence[Mark], first: int, last: int, span: _Span) -> tuple[int, int]:
    """The range of marks in `span`, with the tags at its edges whose partners stand inside."""
    pairs = {mark.pair for mark in marks[first:last]} - {-1}
    while last < len(marks) and marks[last].position == span.end and marks[last].pair in pairs:
        last += 1
    while first and marks[first - 1].position == span.start and marks[first - 1].pair in pairs:
        first -= 1
    return first, last


def _is_balanced(marks: Iterable[Mark]) -> bool:
    """Whether each tag stands with its partner, so that the markup may stay as it is."""
    tags = Counter(mark.pair for mark in marks if mark.kind in (MarkKind.OPEN, MarkKind.CLOSE))
    return all(count == 2 for count in tags.values()) and all(
        mark.kind is not MarkKind.BROKEN for mark in marks
    )


def _moved_out(marks: Sequence[Mark], span: _Span) -> Iterator[Mark]:
    """Start tags go before the atom, and from the first other mark on all go behind it.

    Their order stays as it is, and so does their nesting.
    """
    position = span.start
    for mark in marks:
        if mark.kind is not MarkKind.OPEN:
            position = span.end
        yield replace(mark, position=position)
