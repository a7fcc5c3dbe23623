"""Runs one of the decoder steps' plans of a generating variant, as a CUDA graph for each bucket."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.runtime.decoding.selection import Floats
from engine.runtime.sessions.slots import Slots
from engine.runtime.sessions.tensorrt.cuda import Cuda, DeviceArray
from engine.runtime.sessions.tensorrt.engine import PlanEngine, PlanTensors
from engine.runtime.sessions.tensorrt.shapes import Size

INPUTS = ("ids", "positions", "source_lengths")
TOKENS = ("next_ids", "log_probs")
CANDIDATES = ("candidate_ids", "candidate_logits")


class PlanStep:
    """A decoder step over the memory `shared`, captured for all `sizes`, of which one is largest.

    Rows beyond the live ones are computed and thrown away: they hold old values, a position inside
    the cache, since a write outside it would be dropped in silence, and no source.
    """

    def __init__(
        self,
        engine: PlanEngine,
        cuda: Cuda,
        sizes: Sequence[Size],
        shared: Mapping[str, DeviceArray],
        scratch: DeviceArray,
    ) -> None:
        self._cuda = cuda
        own = {name: shared[name] for name in (*engine.inputs, *engine.outputs) if name in shared}
        largest = Size(*(max(each) for each in zip(*sizes, strict=True)))
        self._tensors = PlanTensors(engine, cuda, largest, own, scratch)
        told = [name for name in (*TOKENS, *CANDIDATES) if name in engine.outputs]
        self._runs: dict[Size, Callable[[], None]] = {
            size: self._tensors.prepare(size, INPUTS, told) for size in sizes
        }
        self._size = largest

    def run(self, slots: Slots, size: Size, extra: Sequence[str]) -> dict[str, Floats]:
        """Makes a step of the live slots: their tokens, and the outputs that are asked for."""
        live, self._size = slots.rows, size
        arrays = slots.ids, slots.positions, slots.source_lengths
        for name, array in zip(INPUTS, arrays, strict=True):
            place = self._tensors.host(name, size)
            place[:live], place[live:] = array[:live], 0
        self._runs[size]()
        outputs = {name: self._tensors.download(name, size) for name in extra}
        self._cuda.wait()
        slots.next_ids[:live] = self._host("next_ids")[:live]
        slots.log_probs[:live] = self._host("log_probs")[:live]
        return {name: array[:live] for name, array in outputs.items()}

    def find_candidates(self, slots: Slots) -> None:
        """Fills the candidates that slots want from those of the last run."""
        rows, wanted = slots.rows, slots.wanted[: slots.rows]
        ids, logits = (self._host(name)[:rows] for name in CANDIDATES)
        count = min(int(wanted.max()), ids.shape[1])
        ids, logits = _in_order(ids[:, :count], logits[:, :count])
        is_told = np.arange(count) < wanted[:, None]
        slots.candidate_ids[:rows] = -1
        slots.candidate_logits[:rows] = -np.inf
        slots.candidate_ids[:rows, :count] = np.where(is_told, ids, -1)
        slots.candidate_logits[:rows, :count] = np.where(is_told, logits, -np.inf)

    def logits(self, slot: int) -> Floats:
        """All logits `[V]` of a slot of the last run."""
        row = self._tensors.row_bytes("logits", self._size)
        start = self._tensors.buffers["logits"].address + slot * row
        place: Floats = self._tensors.host("logits", self._size)[slot]
        self._cuda.download(DeviceArray(start, row), place)
        self._cuda.wait()
        return place.copy()

    def _host(self, name: str) -> NDArray[Any]:
        return self._tensors.host(name, self._size)


def _in_order(ids: NDArray[Any], logits: Floats) -> tuple[NDArray[Any], Floats]:
    """Equal logits by id, which TensorRT does not promise."""
    if not (logits[:, 1:] == logits[:, :-1]).any():
        return ids, logits
    order = np.lexsort((ids, -logits), axis=-1)
    return np.take_along_axis(ids, order, axis=-1), np.take_along_axis(logits, order, axis=-1)
