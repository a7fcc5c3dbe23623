"""The keys and values of a lane's slots on a GPU, and how many positions of them are read."""

from collections.abc import Sequence

import numpy as np

from engine.runtime.decoding.selection import Ints
from engine.runtime.sessions.tensorrt.caches import DeviceCaches, Encoded
from engine.runtime.sessions.tensorrt.shapes import Size, bucket


class DeviceMemory:
    """See `SlotMemory`: `own` keys and values have all their positions from the start, in place.

    Those of sources, `cross`, are laid out for a bucket of `widths`, which a step reads of both,
    as far as they go.  Moves are queued, and done together before anything else reads or writes:
    `settle` does them.
    """

    def __init__(self, own: DeviceCaches, cross: DeviceCaches, widths: Sequence[int]) -> None:
        self.own, self.cross = own, cross
        self._widths, self._longest = widths, (own.length, cross.length)
        self._moves: dict[int, tuple[int, int]] = {}
        self.reset()

    def reset(self) -> None:
        """Begins again with no rows, and zeros."""
        self._moves.clear()
        self._width = self._widths[0]
        self.own.reset(self.own.length)
        self.cross.reset(self.size(0).width)

    def size(self, rows: int, width: int = 0) -> Size:
        """The size of a step of a bucket of rows that reads `width` positions, else as now."""
        width = width or self._width
        own, cross = self._longest
        return Size(rows, min(width, cross), min(width, own))

    def settle(self) -> None:
        """Does the moves that wait, each from a slot that no other one writes."""
        for target, (source, length) in self._moves.items():
            self.own.copy(source, target, length)
            self.cross.copy_whole(source, target)
        self._moves.clear()

    def widen(self, rows: int, width: int) -> None:
        """Has steps read so many positions at least; the first `rows` slots are kept."""
        if width > self._width:
            self._lay_out(rows, bucket(self._widths, width))

    def admit(self, first: int, encoded: Encoded, rows: Sequence[int]) -> None:
        """See `SlotMemory`."""
        self.settle()
        self.widen(first, encoded.width)
        self.cross.store(first, encoded, np.array(rows))

    def fit(self, _positions: Ints) -> None:
        """See `SlotMemory`: there is room, and the next step widens what is read."""

    def copy(self, sources: Ints, targets: Ints, lengths: Ints) -> None:
        """See `SlotMemory`."""
        self.settle()
        for beam in zip(sources.tolist(), targets.tolist(), lengths.tolist(), strict=True):
            self.own.copy(*beam)

    def move(self, source: int, target: int, length: int, _source_length: int) -> None:
        """See `SlotMemory`.

        Slots are moved from the end, so what a move reads lies behind all that moves write, but for
        a slot that itself waits to be written: then it is read where that comes from.
        """
        first, _ = self._moves.pop(source, (source, 0))
        self._moves[target] = first, length

    def clear(self, slots: Sequence[int]) -> None:
        """See `SlotMemory`."""
        self.settle()
        for slot in slots:
            self.own.clear(slot)
            self.cross.clear(slot)

    def shrink(self, positions: Ints, source_lengths: Ints) -> None:
        """See `SlotMemory`: once at least half is given up."""
        longest = max(int(positions.max(initial=0)) + 1, int(source_lengths.max(initial=1)))
        width = bucket(self._widths, longest)
        if 2 * width <= self._width:
            self._lay_out(positions.size, width)

    def _lay_out(self, rows: int, width: int) -> None:
        self.settle()
        before, self._width = self.cross.length, width
        wanted = self.size(rows).width
        if wanted != before:
            self.cross.resize(rows, wanted)
