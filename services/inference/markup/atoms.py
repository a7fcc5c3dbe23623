"""Finds where the atoms of a segment stand in its translation, whatever the model made of them."""

import re
from collections.abc import Iterator, Sequence

from services.inference.markup.masks import MASK
from services.inference.markup.passage import Atom, MarkedSegment
from services.inference.markup.placeholders import placeholders
from services.inference.markup.slots import Slot
from services.inference.markup.words import Word

_GLUED = re.compile(r"[^\s.,;:!?)\]}»”\"']+")


class Search:
    """Looks for each atom: as it was shown, in other case, as what took its place, by alignment."""

    def __init__(self, segment: MarkedSegment, translation: str, found: Sequence[Word]) -> None:
        self._text = segment.text
        self._atoms = segment.passage.atoms
        self._translation = translation
        self._words = found
        self._slots: list[Slot] = []
        self._suspects = [*placeholders(translation), *self._strange_masks()]

    def slots(self) -> list[Slot]:
        """Where each atom goes, and what is left over of masks; in order, apart."""
        missing = self._find_garbled(self._find_text(self._atoms))
        missing = [atom for atom in missing if not self._find_aligned(atom)]
        if any(atom.is_masked for atom in self._atoms):
            for start, end in self._suspects:
                if self._is_free(start, end):
                    self._slots.append(Slot(start, self._end_of_rest(end), None))
        for atom in missing:
            place = self._place_for(atom)
            self._slots.append(Slot(place, place, atom))
        return sorted(self._slots, key=lambda slot: (slot.start, slot.end))

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
                place = self._vote_of(start, end, missing)
                atom = min(missing, key=lambda each: abs((each.start + each.end) / 2 - place))
                missing.remove(atom)
                self._slots.append(Slot(start, end, atom))
        return [*missing, *others]

    def _vote_of(self, start: int, end: int, missing: Sequence[Atom]) -> float:
        votes = [
            vote
            for word in self._words
            if word.start < end and word.end > start
            for vote in word.votes
        ]
        if not votes:
            return float(missing[0].start)
        return max(votes, key=lambda vote: vote.weight).place

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
        left = r"(?<!\w)" if text[0].isalnum() and not is_glued else ""
        is_glued = self._text[atom.end : atom.end + 1].isalnum()
        right = r"(?!\w)" if text[-1].isalnum() and not is_glued else ""
        right = r"(?!\d)" if atom.is_masked else right
        for match in re.finditer(f"{left}{re.escape(text)}{right}", self._translation, flags):
            if self._is_free(*match.span()):
                self._slots.append(Slot(*match.span(), atom))
                return True
        return False

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
        first, last = self._words[run[0]], self._words[run[1]]
        self._slots.append(Slot(first.start, last.end, atom))
        return True

    def _place_for(self, atom: Atom) -> int:
        """The start of a free word, or the end, that parts best what came before and behind."""
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

    def _is_free(self, start: int, end: int) -> bool:
        return all(
            end <= slot.start or slot.end <= start for slot in self._slots if slot.start < slot.end
        )

    def _source_of(self, atom: Atom) -> str:
        return self._text[atom.start : atom.end]
