"""The words of a translation, and which places of the source each of them comes from."""

import re
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from engine.contract.events import Link
from services.inference.markup.passage import Atom
from services.inference.text.characters import WORD

_WORD = re.compile(WORD)

# The weights of votes that no attention gave.
_COPY = 1.0
_ORDER = 0.1


@dataclass(frozen=True, slots=True)
class Vote:
    """For the place of the source around which the word was attended to."""

    place: float
    weight: float


@dataclass(slots=True)
class Word:
    """`translation[start:end]`, or an atom that stands there; `space` is the white space before."""

    start: int
    end: int
    text: str
    space: str = ""
    votes: list[Vote] = field(default_factory=list)
    atom: Atom | None = None


class WordOrder:
    """Finds places in a translation by the order of its words alone.

    For segments with so many marks or atoms that to weigh all votes for each would take too long.
    """

    # Places times words: about 50 ms for all marks or all atoms of a segment.
    _MOST_WEIGHED = 30_000

    def __init__(self, words: Sequence[Word]) -> None:
        self._places = sorted(
            max(word.votes, key=lambda vote: vote.weight).place for word in words if word.votes
        )

    def place(self, source: int) -> int:
        """How many words come from before that place of the source."""
        return bisect_left(self._places, source)

    @staticmethod
    def is_needed(places: int, words: Sequence[Word]) -> bool:
        """Whether to weigh votes would take too long."""
        return places * len(words) > WordOrder._MOST_WEIGHED


def words(
    translation: str, source: str, links: Sequence[Link], cuts: Sequence[int] = ()
) -> list[Word]:
    """The words of `translation` with their votes.

    A word that stands once in both texts is taken for a copy, whatever the links say, and is cut
    where one of `cuts`, places of the source, cuts it.  Without links, the words are taken to be in
    the order of the source.
    """
    found: list[Word] = []
    end = 0
    for match in _WORD.finditer(translation):
        space = translation[end : match.start()]
        found.append(Word(match.start(), match.end(), match[0], space))
        end = match.end()
    if links:
        _vote_by_links(found, source, links)
    else:
        _vote_by_order(found, translation, source)
    copies = _copies(found, source)
    _vote_for_copies(found, copies)
    cuts = sorted(set(cuts))
    return [part for word in found for part in _cut(word, copies.get(word.text), cuts)]


def _vote_by_links(found: Sequence[Word], source: str, links: Sequence[Link]) -> None:
    starts = [word.start for word in found]
    for target_start, target_end, source_start, source_end, weight in links:
        token = source[source_start:source_end]
        if not token.strip():
            continue
        stripped = source_start + len(token) - len(token.lstrip())
        vote = Vote((stripped + source_start + len(token.rstrip())) / 2, weight)
        index = max(0, bisect_right(starts, target_start) - 1)
        while index < len(found) and found[index].start < target_end:
            if found[index].end > target_start:
                found[index].votes.append(vote)
            index += 1


def _vote_by_order(found: Sequence[Word], translation: str, source: str) -> None:
    scale = len(source) / max(1, len(translation))
    for word in found:
        word.votes.append(Vote((word.start + word.end) / 2 * scale, _ORDER))


def _copies(found: Sequence[Word], source: str) -> dict[str, tuple[int, int]]:
    """The words that stand once in both texts, and where in the source."""
    counts = Counter(word.text for word in found)
    spans: dict[str, list[tuple[int, int]]] = {}
    for match in _WORD.finditer(source):
        spans.setdefault(match[0], []).append(match.span())
    return {text: each[0] for text, each in spans.items() if len(each) == counts[text] == 1}


def _vote_for_copies(found: Sequence[Word], copies: Mapping[str, tuple[int, int]]) -> None:
    """A copy comes from its original alone, and nothing else does."""
    spans = sorted(copies.values())
    for word in found:
        if word.text in copies:
            start, end = copies[word.text]
            word.votes = [Vote((start + end) / 2, _COPY)]
        else:
            word.votes = [vote for vote in word.votes if not _is_in(vote.place, spans)]


def _is_in(place: float, spans: Sequence[tuple[int, int]]) -> bool:
    index = bisect_right(spans, (place, float("inf"))) - 1
    return index >= 0 and place < spans[index][1]


def _cut(word: Word, original: tuple[int, int] | None, cuts: Sequence[int]) -> list[Word]:
    """The parts of a copy whose original is cut; `cuts` are in order."""
    if original is None:
        return [word]
    start, end = original
    places = [start, *cuts[bisect_right(cuts, start) : bisect_left(cuts, end)], end]
    if len(places) == 2:
        return [word]
    return [
        Word(
            word.start + low - start,
            word.start + high - start,
            word.text[low - start : high - start],
            word.space if low == start else "",
            [Vote((low + high) / 2, _COPY)],
        )
        for low, high in pairwise(places)
    ]
