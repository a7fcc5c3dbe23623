"""Puts a translation together with the marks and atoms of its segment."""

from collections.abc import Iterator, Sequence
from itertools import zip_longest

from engine.contract.events import Link
from services.inference.markup.passage import (
    Mark,
    MarkedSegment,
    MarkKind,
    Rendered,
)
from services.inference.markup.source.cdata import SourceWriter
from services.inference.markup.translation.atoms import Search
from services.inference.markup.translation.placement import Node, place, tree
from services.inference.markup.translation.slots import SlotRow
from services.inference.markup.translation.words import Word, words
from services.inference.text.terms import TermMatch


def render(segment: MarkedSegment, translation: str, links: Sequence[Link] = ()) -> Rendered:
    """The translation as it goes out, with all that the segment holds in its place, exactly once.

    `links` are the engine's alignment of the translation with `segment.text`; without them, order
    and copied words decide.
    """
    if not segment.needs_alignment:
        output = _output_for(segment)
        output.add_text(translation)
        return Rendered(output.finish(segment.source, segment.end), [])
    found = _words(segment, translation.strip(), links)
    root = tree(segment.passage.marks, segment.text)
    place(root, found)
    writer = _Writer(segment, found)
    for step in _steps(root):
        writer.write(step)
    return writer.rendered()


def _output_for(segment: MarkedSegment) -> SourceWriter:
    spellings = segment.passage.spellings
    return SourceWriter(segment.sections, segment.start, segment.language, spellings)


def _words(segment: MarkedSegment, translation: str, links: Sequence[Link]) -> list[Word]:
    """The words of the translation, in which each atom of the segment stands exactly once."""
    passage = segment.passage
    cuts = [mark.position for mark in passage.marks]
    cuts += [place for atom in passage.atoms for place in (atom.start, atom.end)]
    found = words(translation, segment.text, links, cuts)
    if not passage.atoms:
        return found
    slots = Search(segment, translation, found).slots()
    row = SlotRow(segment.text, translation, found)
    for slot, following in zip_longest(slots, slots[1:]):
        row.add_words(slot.start)
        row.add_slot(slot, following)
    row.add_words(len(translation))
    return row.merged


# Words up to a place, or a mark of a node: (place, None) or (place, mark).
_Step = tuple[int, Mark | None]


def _steps(root: Node) -> Iterator[_Step]:
    """The marks in the order of the output, each behind the words before its place."""
    pending: list[Node | _Step] = [root]
    while pending:
        node = pending.pop()
        if isinstance(node, tuple):
            yield node
            continue
        yield node.first, node.opening
        pending.append((node.last, node.closing))
        pending += reversed(node.children)


class _Writer:
    """Writes words and marks, and the white space between them."""

    def __init__(self, segment: MarkedSegment, words: Sequence[Word]) -> None:
        self._segment = segment
        self._words = words
        self._output = _output_for(segment)
        self._matches: list[TermMatch] = []
        self._done = 0
        # How many words' white space is written: `_done`, or one more.
        self._spaced = 0

    def write(self, step: _Step) -> None:
        """Writes the words up to a place, and a mark."""
        place, mark = step
        while self._done < place:
            self._write_word(self._words[self._done])
        if mark is None:
            return
        if mark.kind is MarkKind.SPACE:
            self._write_space_mark(mark)
        elif mark.kind is MarkKind.OPEN:
            self._write_mark(mark, is_behind_space=mark.is_apart != (False, True))
        elif mark.kind is MarkKind.CLOSE:
            self._write_mark(mark, is_behind_space=mark.is_apart == (True, False))
        else:
            self._write_mark(mark, is_behind_space=mark.is_apart[0])
            if mark.is_apart == (True, True) and self._done < len(self._words):
                self._output.add_text(self._words[self._done].space[:1])

    def rendered(self) -> Rendered:
        """All that was written; the matches are in the order of the source."""
        matches = sorted(self._matches, key=lambda match: match.source_start)
        return Rendered(self._output.finish(self._segment.source, self._segment.end), matches)

    def _write_word(self, word: Word) -> None:
        self._write_space()
        if word.atom is None:
            self._output.add_text(word.text)
        else:
            start, end = self._output.add_slice(word.atom.output, word.atom.source_start)
            if word.atom.entry >= 0:
                self._matches.append(
                    TermMatch(
                        word.atom.entry,
                        word.atom.source_start,
                        word.atom.source_end,
                        start,
                        end,
                    )
                )
        self._done += 1

    def _write_mark(self, mark: Mark, *, is_behind_space: bool) -> None:
        if is_behind_space:
            self._write_space()
        self._output.add_mark(mark.text, mark.source_end)

    def _write_space_mark(self, mark: Mark) -> None:
        """A reference for a space takes the place of a space, unless others stood beside it."""
        if mark.is_apart[0]:
            self._write_space()
        elif not mark.is_apart[1]:
            self._spaced = self._done + 1
        self._output.add_mark(mark.text, mark.source_end)

    def _write_space(self) -> None:
        """Writes the white space before the next word, once."""
        if self._spaced == self._done:
            self._spaced += 1
            if self._done < len(self._words):
                self._output.add_text(self._words[self._done].space)
