"""The memory of keys and values: arrays whose length follows the longest live row."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from engine.contract.manifest import Manifest
from engine.runtime.decoding.selection import Floats

LENGTH_STEP = 16


def padded(length: int) -> int:
    """`length` rounded up to a multiple of `LENGTH_STEP`."""
    return -(-length // LENGTH_STEP) * LENGTH_STEP


def key_value_names(prefix: str, layers: int) -> list[str]:
    """The graph's names of keys and values, in the order of memory: key 0, value 0, key 1, ..."""
    return [f"{prefix}{part}_{layer}" for layer in range(layers) for part in ("key", "value")]


class OwnMemory(Protocol):
    """What every decoder layer remembers of the tokens of a lane's slots, wherever it lies."""

    length: int

    def resize(self, rows: int, length: int) -> bool:
        """Gives the memory `length` positions; the first `rows` rows keep what they have.

        Returns whether anything changed: memory of a fixed length stays as it is.
        """
        ...

    def copy(self, source: int, target: int, length: int) -> None:
        """Copies the first `length` positions of a slot to another."""
        ...

    def clear(self, slot: int) -> None:
        """Makes all of a slot zeros."""
        ...


class KeyValueMemory(OwnMemory, Protocol):
    """Keys and values of every decoder layer; those of sources are stored whole."""

    def width(self, encoded: Any) -> int:
        """How many positions there are in what the encoder gave."""
        ...

    def store(self, first: int, encoded: Any, rows: NDArray[np.intp]) -> None:
        """Puts row `rows[i]` of what the encoder gave into slot `first + i`."""
        ...


def state_names(prefix: str, layers: int) -> list[str]:
    """The graph's names of the states of recurrent units."""
    return [f"{prefix}state_{layer}" for layer in range(layers)]


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

    def named(self, prefix: str) -> dict[str, Floats]:
        """The arrays by the graph's names."""
        names = key_value_names(prefix, len(self.arrays) // 2)
        return dict(zip(names, self.arrays, strict=True))

    def width(self, encoded: list[Floats]) -> int:
        """See `KeyValueMemory`; `encoded` are arrays `[B,H,S,K]` as in `arrays`."""
        return int(encoded[0].shape[2])

    def store(self, first: int, encoded: list[Floats], rows: NDArray[np.intp]) -> None:
        """See `KeyValueMemory`."""
        width = self.width(encoded)
        for array, new in zip(self.arrays, encoded, strict=True):
            array[first : first + len(rows), :, :width] = (
                new if len(rows) == len(new) else new[rows]
            )

    def copy(self, source: int, target: int, length: int) -> None:
        """See `KeyValueMemory`."""
        for array in self.arrays:
            array[target, :, :length] = array[source, :, :length]

    def clear(self, slot: int) -> None:
        """See `KeyValueMemory`."""
        for array in self.arrays:
            array[slot] = 0

    def resize(self, rows: int, length: int) -> bool:
        """See `KeyValueMemory`."""
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
        return True


class States:
    """What recurrent units remember, `[N,D]` for every decoder layer. See `OwnMemory`.

    A row's state says all of its past: there is no length, and what is of a position is of all.
    """

    def __init__(self, manifest: Manifest, capacity: int) -> None:
        shape = capacity, manifest.decoder_heads * manifest.head_width
        self.arrays: list[Floats] = [
            np.zeros(shape, np.float32) for _ in range(manifest.decoder_layers)
        ]
        self.length = manifest.max_target_tokens

    def named(self, prefix: str) -> dict[str, Floats]:
        """The arrays by the graph's names."""
        return dict(zip(state_names(prefix, len(self.arrays)), self.arrays, strict=True))

    def resize(self, _rows: int, _length: int) -> bool:
        """See `OwnMemory`: there is nothing to do."""
        return False

    def copy(self, source: int, target: int, _length: int) -> None:
        """See `OwnMemory`."""
        for array in self.arrays:
            array[target] = array[source]

    def clear(self, slot: int) -> None:
        """See `OwnMemory`."""
        for array in self.arrays:
            array[slot] = 0
