"""Finds do-not-translate phrases and the terms of a glossary in a text.

They match as whole words, and any white space matches any other, as do the forms of a letter with
an accent.  Of overlapping ones the leftmost,
of those the longest, wins; a phrase wins over a term of the same length.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from services.inference.text.characters import WORD

# A term begins and ends where a piece does.
_PIECE = re.compile(rf"\s+|{WORD}")


@dataclass(frozen=True, slots=True)
class TermEntry:
    """A term and what it becomes; whole words, of any case unless `case_sensitive`."""

    source_term: str
    target_term: str
    case_sensitive: bool = False


@dataclass(frozen=True, slots=True)
class TermMatch:
    """Where an entry was applied; the target span counts from the start of the rendered text."""

    entry_index: int
    source_start: int
    source_end: int
    target_start: int
    target_end: int


@dataclass(frozen=True, slots=True)
class Found:
    """`text[start:end]` is a phrase (`entry` -1), or the term of that entry of the glossary."""

    start: int
    end: int
    entry: int


@dataclass(slots=True)
class _Node:
    """Where some pieces lead: to longer terms, and to those that end here, the first to win."""

    longer: dict[str, "_Node"] = field(default_factory=dict)
    # what it is in the glossary, and its pieces if their case matters
    ending: list[tuple[int, list[str] | None]] = field(default_factory=list)


class TermTrie:
    """The phrases and the glossary of a request, in a trie of pieces whose case is folded.

    So looking takes as long for a thousand terms as for one.
    """

    def __init__(self, phrases: Sequence[str] = (), glossary: Sequence[TermEntry] = ()) -> None:
        self.glossary = glossary
        self._root = _Node()
        for phrase in phrases:
            self._add(phrase, -1, is_exact=True)
        for index, entry in enumerate(glossary):
            self._add(entry.source_term, index, is_exact=entry.case_sensitive)

    def find(self, text: str) -> Iterator[Found]:
        """All that stand in `text`, in order; they do not overlap."""
        if not self._root.longer:
            return
        pieces = _pieces(text)
        folded = [piece.casefold() for piece in pieces]
        ends = [found.end() for found in _PIECE.finditer(text)]
        first = 0
        while first < len(pieces):
            past, entry = self._longest(pieces, folded, first)
            if past > first:
                yield Found(ends[first - 1] if first else 0, ends[past - 1], entry)
            first = max(past, first + 1)

    def _add(self, term: str, entry: int, is_exact: bool) -> None:
        pieces = _pieces(term.strip())
        if not pieces:
            return
        node = self._root
        for piece in pieces:
            node = node.longer.setdefault(piece.casefold(), _Node())
        node.ending.append((entry, pieces if is_exact else None))

    def _longest(self, pieces: list[str], folded: list[str], first: int) -> tuple[int, int]:
        """The piece after the longest term from `first` on, and its entry; `first` if none."""
        best, node = (first, -1), self._root
        for past in range(first + 1, len(pieces) + 1):
            following = node.longer.get(folded[past - 1])
            if following is None:
                break
            node = following
            for entry, exact in node.ending:
                if exact is None or exact == pieces[first:past]:
                    best = (past, entry)
                    break
        return best


def _pieces(text: str) -> list[str]:
    """Pieces by which texts are compared: "é" may be one character or two."""
    return [
        " " if piece.isspace() else unicodedata.normalize("NFC", piece)
        for piece in _PIECE.findall(text)
    ]
