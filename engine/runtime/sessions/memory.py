"""Where the keys and values of a lane's slots lie, behind one seam for every kind of memory."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from engine.runtime.decoding.selection import Ints
from engine.runtime.sessions.caches import KeyValueMemory, OwnMemory, padded


class SlotMemory(Protocol):
    """The keys and values of running rows: of their own tokens, and of their sources."""

    def admit(self, first: int, encoded: Any, rows: Sequence[int], /) -> None:
        """Gives slot `first + i` the source `rows[i]` of what the encoder gave."""
        ...

    def fit(self, positions: Ints, /) -> None:
        """Makes room for what the first slots write next, at `positions`."""
        ...

    def copy(self, sources: Ints, targets: Ints, lengths: Ints, /) -> None:
        """Copies the first `lengths[i]` own positions of beams to others of the same text."""
        ...

    def move(self, source: int, target: int, length: int, source_length: int, /) -> None:
        """Moves a slot, with `length` own positions, to one that is free."""
        ...

    def clear(self, slots: Sequence[int], /) -> None:
        """Forgets what slots hold, which are given up because of values that are not finite."""
        ...

    def shrink(self, positions: Ints, source_lengths: Ints, /) -> None:
        """Gives up memory that rows do not need which have so much, if it is much."""
        ...


class ArrayMemory:
    """See `SlotMemory`: arrays whose lengths follow the longest live row.

    So short rows pay no attention over an empty cache.  `geometry` changes whenever an array is
    replaced.
    """

    def __init__(self, caches: OwnMemory, cross: KeyValueMemory) -> None:
        self.caches, self.cross = caches, cross
        self.geometry = 0

    def admit(self, first: int, encoded: Any, rows: Sequence[int]) -> None:
        """See `SlotMemory`."""
        width = self.cross.width(encoded)
        if width > self.cross.length:
            self.geometry += self.cross.resize(first, width)
        self.cross.store(first, encoded, np.array(rows))

    def fit(self, positions: Ints) -> None:
        """See `SlotMemory`."""
        length = int(positions.max(initial=0)) + 1
        if length > self.caches.length:
            self.geometry += self.caches.resize(positions.size, padded(length))

    def copy(self, sources: Ints, targets: Ints, lengths: Ints) -> None:
        """See `SlotMemory`."""
        for beam in zip(sources.tolist(), targets.tolist(), lengths.tolist(), strict=True):
            self.caches.copy(*beam)

    def move(self, source: int, target: int, length: int, source_length: int) -> None:
        """See `SlotMemory`."""
        self.caches.copy(source, target, length)
        self.cross.copy(source, target, source_length)

    def clear(self, slots: Sequence[int]) -> None:
        """See `SlotMemory`."""
        for slot in slots:
            self.caches.clear(slot)
            self.cross.clear(slot)

    def shrink(self, positions: Ints, source_lengths: Ints) -> None:
        """See `SlotMemory`: once at least half is given up."""
        memories: tuple[tuple[OwnMemory, Ints], ...]
        memories = (self.caches, positions + 1), (self.cross, source_lengths)
        for memory, lengths in memories:
            length = padded(int(lengths.max(initial=1)))
            if length * 2 <= memory.length:
                self.geometry += memory.resize(lengths.size, length)
