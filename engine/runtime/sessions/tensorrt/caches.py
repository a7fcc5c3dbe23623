"""Keys and values in the memory of a GPU, for the largest shapes from the start."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.runtime.sessions.tensorrt.cuda import Cuda, DeviceArray


@dataclass(frozen=True)
class Encoded:
    """Keys and values `[B,H,width,K]` that the encoder left on the device."""

    arrays: Sequence[DeviceArray]
    width: int


class DeviceCaches:
    """See `KeyValueMemory`: arrays `[N,H,length,K]` on the device.

    The length is one of `lengths`, ascending; with one alone it is fixed. N is `capacity`, `item`
    the bytes of a number.
    """

    def __init__(
        self,
        cuda: Cuda,
        count: int,
        capacity: int,
        heads: int,
        head_width: int,
        item: int,
        lengths: Sequence[int],
    ) -> None:
        self._cuda, self._heads = cuda, heads
        self._lengths = lengths
        self._position = head_width * item
        size = capacity * heads * lengths[-1] * self._position
        self.arrays = [cuda.empty(size) for _ in range(count)]
        self._scratch = cuda.empty(size) if len(lengths) > 1 else DeviceArray(0, 0)
        self.length = lengths[0]

    def reset(self) -> None:
        """Begins again with no rows, and zeros."""
        self.length = self._lengths[0]
        for array in self.arrays:
            self._cuda.clear(array)

    def resize(self, rows: int, length: int) -> bool:
        """See `KeyValueMemory`: the length becomes the next one that is offered."""
        new = next(one for one in self._lengths if one >= length)
        if new == self.length:
            return False
        pitch, old_pitch = new * self._position, self.length * self._position
        kept, lines = min(pitch, old_pitch), rows * self._heads
        for array in self.arrays:
            self._cuda.copy_rows(array.address, old_pitch, self._scratch.address, kept, kept, lines)
            self._cuda.copy_rows(self._scratch.address, kept, array.address, pitch, kept, lines)
        self.length = new
        return True

    def width(self, encoded: Encoded) -> int:
        """See `KeyValueMemory`."""
        return encoded.width

    def store(self, first: int, encoded: Encoded, rows: NDArray[np.intp]) -> None:
        """See `KeyValueMemory`."""
        pitch, width = self.length * self._position, encoded.width * self._position
        for array, new in zip(self.arrays, encoded.arrays, strict=True):
            for start, stop, source in runs(rows):
                self._cuda.copy_rows(
                    new.address + source * self._heads * width,
                    width,
                    array.address + (first + start) * self._heads * pitch,
                    pitch,
                    width,
                    (stop - start) * self._heads,
                )

    def clear(self, slot: int) -> None:
        """See `KeyValueMemory`."""
        row = self._heads * self.length * self._position
        for array in self.arrays:
            self._cuda.clear(DeviceArray(array.address + slot * row, row))

    def copy(self, source: int, target: int, length: int) -> None:
        """See `KeyValueMemory`."""
        pitch = self.length * self._position
        row = self._heads * pitch
        for array in self.arrays:
            self._cuda.copy_rows(
                array.address + source * row,
                pitch,
                array.address + target * row,
                pitch,
                length * self._position,
                self._heads,
            )


def runs(rows: NDArray[np.intp]) -> list[tuple[int, int, int]]:
    """Stretches of consecutive numbers: where each starts and stops in `rows`, and its first."""
    found: list[tuple[int, int, int]] = []
    for index, row in enumerate(rows.tolist()):
        if found and row == found[-1][2] + index - found[-1][0]:
            found[-1] = (found[-1][0], index + 1, found[-1][2])
        else:
            found.append((index, index + 1, row))
    return found
