"""Finds where the atoms of a segment stand in its translation, whatever the model made of them."""

import re
import unicodedata
from bisect import bisect_left, insort
from collections.abc import Callable, Iterator, Sequence

from services.inference.markup.masks import MASK
from services.inference.markup.passage import Atom, MarkedSegment
from services.inference.markup.translation.slots import Slot
from services.inference.markup.translation.words import Word, WordOrder
from services.inference.text.placeholders import placeholders

_GLUED = re.compile(r"[^\s.,;:!?)\]}»”\"']+")

# Says of a character, or of none at an edge, that it must not stand there.
_Refusal = Callable[[str], bool]
_Key = tuple[str, re.RegexFlag, _Refusal, _Refusal]


def _is_in_word(character: str) -> bool:
    is_mark = bool(character) and unicodedata.category(character).startswith("M")
    return is_mark or character.isalnum() or character == "_"


def _is_never(_character: str) -> bool:
    return False


class Search:
    """Looks for each atom: as it was shown, in other case, as what took its place, by alignment."""

    def __init__(self, segment: MarkedSegment, translation: str, found: Sequence[Word]) -> None:
        self._text = segment.text
        self._atoms = segment.passage.atoms
        self._translation = translation
        self._words = found
        self._order = WordOrder(found) if WordOrder.is_needed(len(self._atoms), found) else None
        self._slots: list[Slot] = []
        self._matches: dict[_Key, Iterator[tuple[int, int]]] = {}
        self._suspects = [*placeholders(translation), *self._strange_masks()]

    def slots(self) -> list[Slot]:
        """Where each atom goes, and what is left over of masks; in order, apart."""
        missing = self._find_garbled(self._find_text(self._atoms))
        if self._order is None:
            missing = [atom for atom in missing if not self._find_aligned(atom)]
        if any(atom.is_masked for atom in self._atoms):
            for start, end in self._suspects:
                if self._is_free(start, end):
                    self._add(start, self._end_of_rest(end), None)
        # Slots of no width take no room, so none of these stands in the way of another.
        empty = [(self._place_for(atom), atom) for atom in missing]
        slots = [*self._slots, *(Slot(place, place, atom) for place, atom in empty)]
        return sorted(slots, key=_span)

    def _strange_masks(self) -> Iterator[tuple[int, int]]:
        """What looks like a mask, and is no word of the source."""
        shown = {self._source_of(atom) for atom in self._atoms}
        known = {match[0] for match in MASK.finditer(self._text)} - shown
        for match in MASK.finditer(self._translation):
            if match[0] not in known:
                yield match.span()

    def _end_of_rest(self, end: int) -> int:
        """Where what is glued to a left-over mask ends: with the mask it would be nonsense."""
        match = _GLUED.match(self._translation, end)
        return match.end() if match and self._is_free(end, match.end()) else end

    def _find_garbled(self, atoms: Sequence[Atom]) -> list[Atom]:
        """What looks like a placeholder or a mask, and is none of the source's, was one."""
        missing = [atom for atom in atoms if atom.is_masked]
        others = [atom for atom in atoms if not atom.is_masked]
        for start, end in self._suspects:
            if missing and self._is_free(start, end):
                atom = missing[0] if self._order else self._nearest(start, end, missing)
                missing.remove(atom)
                self._add(start, end, atom)
        return [*missing, *others]

    def _nearest(self, start: int, end: int, missing: Sequence[Atom]) -> Atom:
        """The atom that is nearest to where that stretch of the translation comes from."""
        votes = [
            vote
            for word in self._words
            if word.start < end and word.end > start
            for vote in word.votes
        ]
        if not votes:
            return missing[0]
        place = max(votes, key=lambda vote: vote.weight).place
        return min(missing, key=lambda atom: abs((atom.start + atom.end) / 2 - place))

    def _find_text(self, atoms: Sequence[Atom]) -> list[Atom]:
        """Atoms whose text stands in the translation, the longest first; the others come back."""
        missing = [
            atom
            for atom in sorted(atoms, key=lambda each: each.start - each.end)
            if not any(self._find_as(atom, *way) for way in self._ways(atom))
        ]
        return sorted(missing, key=lambda atom: atom.start)

    def _ways(self, atom: Atom) -> Iterator[tuple[str, re.RegexFlag]]:
        """What an atom may be found by; the model may know a term's translation by itself."""
        for text in (atom.target, self._source_of(atom)):
            if text.strip():
                yield text, re.NOFLAG
                yield text, re.IGNORECASE

    def _find_as(self, atom: Atom, text: str, flags: re.RegexFlag) -> bool:
        # "file%s" and "%s%s" are shown as "fileX1" and "X1X2".
        is_glued = atom.is_masked or self._text[atom.start - 1 : atom.start].isalnum()
        left = _is_in_word if text[0].isalnum() and not is_glued else _is_never
        is_glued = self._text[atom.end : atom.end + 1].isalnum()
        right = _is_in_word if text[-1].isalnum() and not is_glued else _is_never
        key = (text, flags, left, str.isdecimal if atom.is_masked else right)
        # A stretch that was taken stays so: for the next atom of this text the search goes on.
        for start, end in self._matches.setdefault(key, self._find(*key)):
            if self._is_free(start, end):
                self._add(start, end, atom)
                return True
        return False

    def _find(
        self, text: str, flags: re.RegexFlag, left: _Refusal, right: _Refusal
    ) -> Iterator[tuple[int, int]]:
        """Where `text` stands, unless `left` or `right` refuses the character beside it."""
        for match in re.finditer(f"(?=({re.escape(text)}))", self._translation, flags):
            start, end = match.span(1)
            beside = self._translation[start - 1 : start], self._translation[end : end + 1]
            if not left(beside[0]) and not right(beside[1]):
                yield start, end

    def _find_aligned(self, atom: Atom) -> bool:
        """Takes the run of free words that came from the atom, if there is one."""
        best, run, total, start = 0.0, (0, 0), 0.0, 0
        for index, word in enumerate(self._words):
            is_free = self._is_free(word.start, word.end)
            if total <= 0 or not is_free:
                total, start = 0.0, index + (not is_free)
            if not is_free:
                continue
            for vote in word.votes:
                total += vote.weight if atom.start <= vote.place < atom.end else -vote.weight
            if total > best:
                best, run = total, (start, index)
        if best <= 0:
            return False
        self._add(self._words[run[0]].start, self._words[run[1]].end, atom)
        return True

    def _place_for(self, atom: Atom) -> int:
        """The start of a free word, or the end, that parts best what came before and behind."""
        if self._order is not None:
            index = self._order.place(atom.start)
            in_word = index < len(self._words)
            return self._behind(self._words[index].start if in_word else len(self._translation))
        best, total = (float("-inf"), len(self._translation)), 0.0
        for word in [*self._words, None]:
            place = len(self._translation) if word is None else word.start
            if total > best[0] and self._is_free(place, place):
                best = (total, place)
            if word is not None:
                total += sum(
                    vote.weight if vote.place < atom.start else -vote.weight for vote in word.votes
                )
        return best[1]

    def _behind(self, place: int) -> int:
        """The place, or the end of the slot that it is in."""
        index = bisect_left(self._slots, place, key=_start) - 1
        return place if index < 0 else max(place, self._slots[index].end)

    def _is_free(self, start: int, end: int) -> bool:
        index = bisect_left(self._slots, start, key=_start)
        following = self._slots[index : index + 1]
        return self._behind(start) == start and all(end <= slot.start for slot in following)

    def _add(self, start: int, end: int, atom: Atom | None) -> None:
        insort(self._slots, Slot(start, end, atom), key=_start)

    def _source_of(self, atom: Atom) -> str:
        return self._text[atom.start : atom.end]


def _start(slot: Slot) -> int:
    return slot.start


def _span(slot: Slot) -> tuple[int, int]:
    return slot.start, slot.end
