"""The running rows as native code has them, which moves them on after a step."""

import ctypes
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.native import library as native

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]


class RowArrays(NamedTuple):
    """Those of `Slots` that native code reads and writes: they have to stay where they are."""

    ids: Ints
    positions: Ints
    limits: Ints
    forced: Ints
    history: Ints
    token_log_probs: Floats
    runs: NDArray[np.int32]
    watched: NDArray[np.bool_]
    next_ids: Ints
    log_probs: Floats


class NativeRows:
    """Moves rows on; `state` is what native code is told of them, whose `rows` are set by a call.

    `loops` are the runs of each cycle length that make a loop.

    Raises:
        NativeMissingError: native code was not built.

    """

    def __init__(self, arrays: RowArrays, eos_id: int, loops: NDArray[np.int64]) -> None:
        self._take = native.library().seqway_advance
        self._arrays, data = arrays, native.address
        self._loops = loops.astype(np.int32)
        self._done = np.zeros((2, arrays.ids.size), np.uint8)
        self._step = native.NativeStep(
            next_ids=data(arrays.next_ids), log_probs=data(arrays.log_probs)
        )
        self.state = native.NativeState(
            longest=arrays.forced.shape[1],
            cycles=loops.size,
            end=eos_id,
            ids=data(arrays.ids),
            positions=data(arrays.positions),
            limits=data(arrays.limits),
            forced=data(arrays.forced),
            history=data(arrays.history),
            log_probs=data(arrays.token_log_probs),
            runs=data(arrays.runs),
            loops=data(self._loops),
            watched=data(arrays.watched),
            ended=data(self._done[0]),
            looping=data(self._done[1]),
        )
        self._pointers = ctypes.byref(self._step), ctypes.byref(self.state)

    def advance(self, rows: int) -> tuple[list[int], list[int]]:
        """Takes the next tokens of the first rows: those that have ended, and that loop."""
        self.state.rows = rows
        native.check(self._take(None, *self._pointers))
        return self.done()

    def done(self) -> tuple[list[int], list[int]]:
        """Of the rows that native code has moved last, those that have ended, and that loop."""
        done = self._done[:, : self.state.rows]
        if not done.any():
            return [], []
        ended, looping = done
        return ended.nonzero()[0].tolist(), looping.nonzero()[0].tolist()
