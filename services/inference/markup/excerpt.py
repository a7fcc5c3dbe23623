"""Makes the passage of a sentence from that of its block: as the model is to see it."""

import re
from collections.abc import Sequence
from dataclasses import replace

from services.inference.markup.masks import Masks
from services.inference.markup.passage import Atom, AtomKind, Mark, MarkKind, Passage, PassagePart

_WHITE_SPACE = re.compile(r"[ \t\n\r\f]+")


def excerpt(
    whole: Passage,
    start: int,
    end: int,
    marks: Sequence[Mark],
    atoms: Sequence[Atom],
    *,
    joins_lines: bool,
) -> Passage:
    """`whole.text[start:end]` with those marks and atoms, as a passage of its own.

    White space becomes single spaces where markup has no use for more (`joins_lines`), references
    for white space become marks, and atoms are masked.
    """
    builder = _Builder(whole, marks, Masks(whole.text[start:end]), joins_lines)
    for atom in atoms:
        builder.add_text(start, atom.start)
        builder.add_marks(atom.start)
        builder.add_atom(atom)
        start = atom.end
    builder.add_text(start, end)
    builder.add_marks(end)
    return builder.passage()


class _Builder:
    """The new passage as it grows."""

    def __init__(
        self, whole: Passage, marks: Sequence[Mark], masks: Masks, joins_lines: bool
    ) -> None:
        self._whole = whole
        self._pending = list(reversed(marks))
        self._joins_lines = joins_lines
        self._parts: list[str] = []
        self._length = 0
        self._pieces: list[PassagePart] = []
        self._marks: list[Mark] = []
        self._atoms: list[Atom] = []
        self._masks = masks

    def add_text(self, start: int, end: int) -> None:
        """Adds characters of the whole, and the marks in front of them."""
        while start < end:
            self.add_marks(start)
            stop = min(end, self._pending[-1].position) if self._pending else end
            for part_start, part_end, source_start, source_end in self._whole.stretches(
                start, stop
            ):
                text = self._whole.text[part_start:part_end]
                if self._joins_lines and len(text) == source_end - source_start:
                    self._add_joined(text, source_start)
                else:
                    self._append(text, source_start, source_end)
            start = stop

    def add_marks(self, place: int) -> None:
        """Adds the marks in front of the character at `place` of the whole."""
        before, behind = self._whole.text[place - 1 : place], self._whole.text[place : place + 1]
        while self._pending and self._pending[-1].position <= place:
            mark = self._pending.pop()
            was_apart = mark.is_apart
            is_apart = (before.isspace() or was_apart[0], behind.isspace() or was_apart[1])
            self._marks.append(replace(mark, position=self._length, is_apart=is_apart))

    def add_atom(self, atom: Atom) -> None:
        """Adds an atom of the whole, as the model is to see it."""
        if atom.kind is AtomKind.REFERENCE:
            self._add_reference(atom)
            return
        place = self._length
        text = self._whole.text[atom.start : atom.end]
        surface = self._masks.surface(text, atom.kind)
        self._append(surface, atom.source_start, atom.source_end)
        self._atoms.append(replace(atom, start=place, end=self._length, is_masked=surface != text))

    def passage(self) -> Passage:
        """What was added."""
        return Passage(
            "".join(self._parts),
            tuple(self._pieces),
            tuple(self._marks),
            tuple(self._atoms),
            self._whole.spellings,
        )

    def _add_joined(self, text: str, source_start: int) -> None:
        done = 0
        for found in _WHITE_SPACE.finditer(text):
            start, end = found.span()
            if found[0] == " " and start:
                continue
            self._append(text[done:start], source_start + done, source_start + start)
            if not self._ends_with_space():
                self._append(" ", source_start + start, source_start + end)
            done = end
        self._append(text[done:], source_start + done, source_start + len(text))

    def _ends_with_space(self) -> bool:
        return bool(self._parts) and self._parts[-1].endswith(" ")

    def _add_reference(self, atom: Atom) -> None:
        """Makes a mark of a reference for white space, where the model sees a common space.

        One for a character without width becomes a point where the model sees nothing.
        """
        is_space = self._whole.text[atom.start].isspace()
        before = self._whole.text[atom.start - 1 : atom.start]
        behind = self._whole.text[atom.end : atom.end + 1]
        self._marks.append(
            Mark(
                self._length,
                atom.output,
                MarkKind.SPACE if is_space else MarkKind.POINT,
                atom.source_start,
                atom.source_end,
                is_apart=(is_space and before.isspace(), is_space and behind.isspace()),
            )
        )
        if is_space and not self._ends_with_space():
            self._append(" ", atom.source_start, atom.source_end)

    def _append(self, text: str, source_start: int, source_end: int) -> None:
        if text:
            self._parts.append(text)
            self._pieces.append(PassagePart(self._length, source_start, source_end))
            self._length += len(text)
