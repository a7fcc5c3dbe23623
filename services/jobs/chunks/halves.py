"""Halves a chunk: a part of it whose attempts crashed too often is run as two from then on.

An attempt leaves a mark in the store before it begins.  The mark stays when the attempt crashed, or
may have made Triton crash; so what is left of attempts tells which texts are poison, whatever died.
Halving ends at a single text, which gets an error of its own.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ChunkPart:
    """The items `start` to `stop` of a chunk; poison when it must not be tried again."""

    start: int
    stop: int
    poison: bool = False

    @property
    def name(self) -> str:
        """As it stands in keys."""
        return f"{self.start:06d}-{self.stop:06d}"


def attempt_name(piece: ChunkPart, token: str) -> str:
    """The mark of an attempt."""
    return f"{piece.name}-{token}"


def failed_attempts(keys: Iterable[str]) -> Counter[str]:
    """How many marks there are of each part."""
    return Counter(key.rpartition("/")[2].rpartition("-")[0] for key in keys)


def parts_to_run(size: int, attempts: Counter[str], limit: int) -> Iterator[ChunkPart]:
    """The whole chunk of `size` items, or what halving has made of it, in order."""
    yield from _split(ChunkPart(0, size), attempts, limit)


def _split(piece: ChunkPart, attempts: Counter[str], limit: int) -> Iterator[ChunkPart]:
    if attempts[piece.name] < limit:
        yield piece
    elif piece.stop - piece.start == 1:
        yield ChunkPart(piece.start, piece.stop, poison=True)
    else:
        middle = (piece.start + piece.stop) // 2
        yield from _split(ChunkPart(piece.start, middle), attempts, limit)
        yield from _split(ChunkPart(middle, piece.stop), attempts, limit)
