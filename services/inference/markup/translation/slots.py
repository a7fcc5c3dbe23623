"""Puts atoms and the words of a translation in one row."""

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from services.inference.markup.passage import Atom
from services.inference.markup.translation.words import Vote, Word

# An atom's place is certain, a word's is not.
_CERTAIN = 2.0

# What may stand next to a placeholder, as far as any program can tell the two apart.
_OPENING = re.compile(r"(?:\w{1,3}['’])?[(\[«“\"'‘]*")
_CLOSING = re.compile(r"[.,;:!?)\]}»”\"'’…]*")
_LAST_RUN = re.compile(r"\S*\Z")
_FIRST_RUN = re.compile(r"\S*")


@dataclass(frozen=True, slots=True)
class Slot:
    """`translation[start:end]` gives way to the atom, or to nothing."""

    start: int
    end: int
    atom: Atom | None


class SlotRow:
    """Words that no slot covers, and atoms, from left to right."""

    def __init__(self, source: str, translation: str, words: Sequence[Word]) -> None:
        self._source = source
        self._translation = translation
        self._words = words
        self._starts = [word.start for word in words]
        self._end = 0
        self._last_slot = 0
        self._missing_space = ""
        self.merged: list[Word] = []

    def add_words(self, end: int) -> None:
        """Adds what stands between the last slot and `end`, which may cut a word."""
        start = self._end
        index = max(0, bisect_right(self._starts, start) - 1)
        while index < len(self._words) and self._words[index].start < end:
            word = self._words[index]
            low, high = max(word.start, start), min(word.end, end)
            if low < high:
                self._add(low, high, word.votes, None)
            index += 1

    def add_slot(self, slot: Slot, following: Slot | None) -> None:
        """Adds the atom of a slot, or leaves out what it covers.

        White space parts a placeholder from text that would become a part of it.
        """
        if slot.atom is None:
            self._missing_space = self._translation[self._end : slot.start] or " "
            self._end = self._last_slot = slot.end
            return
        if self.merged and not self._may_touch_left(slot, slot.atom):
            self._missing_space = " "
        place = (slot.atom.start + slot.atom.end) / 2
        self._add(slot.start, slot.end, [Vote(place, _CERTAIN)], slot.atom)
        self._last_slot = slot.end
        if not self._may_touch_right(slot, slot.atom, following):
            self._missing_space = " "

    def _may_touch_left(self, slot: Slot, atom: Atom) -> bool:
        if slot.start == slot.end:
            return False
        left = self.merged[-1].atom
        if left is not None and self._end == slot.start:
            return left.end == atom.start
        run = _run(_LAST_RUN, self._translation[self._last_slot : slot.start])
        return (
            not atom.is_masked
            or _OPENING.fullmatch(run) is not None
            or run == _run(_LAST_RUN, self._source[: atom.start])
        )

    def _may_touch_right(self, slot: Slot, atom: Atom, following: Slot | None) -> bool:
        end = len(self._translation) if following is None else following.start
        run = _run(_FIRST_RUN, self._translation[slot.end : end])
        if slot.start == slot.end:
            return _CLOSING.fullmatch(run) is not None
        return (
            not atom.is_masked
            or _CLOSING.fullmatch(run) is not None
            or run == _run(_FIRST_RUN, self._source[atom.end :])
        )

    def _add(self, start: int, end: int, votes: list[Vote], atom: Atom | None) -> None:
        space = self._translation[self._end : start] or self._missing_space
        self.merged.append(Word(start, end, self._translation[start:end], space, votes, atom))
        self._end = end
        self._missing_space = ""


def _run(pattern: re.Pattern[str], text: str) -> str:
    match = pattern.search(text)
    assert match is not None
    return match[0]
