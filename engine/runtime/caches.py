"""The memory of keys and values: arrays whose length follows the longest live row."""

import numpy as np
from numpy.typing import NDArray

from engine.runtime.manifest import Manifest

LENGTH_STEP = 16

Floats = NDArray[np.float32]


def padded(length: int) -> int:
    """`length` rounded up to a multiple of `LENGTH_STEP`."""
    return -(-length // LENGTH_STEP) * LENGTH_STEP


class Caches:
    """Keys and values of every decoder layer, `[N,H,length,K]` each: key 0, value 0, key 1, ...

    The arrays are views of memory that is kept: a new length moves the rows within it, since fresh
    memory for every length costs more in page faults than the step itself.  It holds zeros or old
    values, never NaN: a masked position is still multiplied.
    """

    def __init__(self, manifest: Manifest, capacity: int) -> None:
        self._row = (capacity, manifest.decoder_heads, manifest.head_width)
        self._memory: list[Floats] = [np.zeros(0, np.float32)] * (2 * manifest.decoder_layers)
        self._scratch: Floats = np.zeros(0, np.float32)
        self.length = 0
        self.arrays: list[Floats] = []
        self.resize(0, LENGTH_STEP)

    def resize(self, rows: int, length: int) -> None:
        """Gives the arrays `length` positions; the first `rows` rows keep what they have."""
        capacity, heads, width = self._row
        shape, size = (capacity, heads, length, width), capacity * heads * length * width
        kept = min(self.length, length)
        if size > self._scratch.size:
            self._scratch = np.zeros(size, np.float32)
        saved = self._scratch[: rows * heads * kept * width].reshape(rows, heads, kept, width)
        for index, memory in enumerate(self._memory):
            if rows:
                np.copyto(saved, self.arrays[index][:rows, :, :kept])
            if memory.size < size:
                self._memory[index] = memory = np.zeros(max(size, 2 * memory.size), np.float32)
            view = memory[:size].reshape(shape)
            view[:rows, :, :kept] = saved
            if index < len(self.arrays):
                self.arrays[index] = view
            else:
                self.arrays.append(view)
        self.length = length
