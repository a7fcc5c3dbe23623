"""Keys and values in the memory of a GPU, for the largest shapes from the start."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.runtime.sessions.tensorrt.cuda import Cuda, DeviceArray, DeviceStack


@dataclass(frozen=True)
class Encoded:
    """Keys and values `[B,H,width,K]` that the encoder left on the device."""

    arrays: Sequence[DeviceArray]
    width: int


class DeviceCaches:
    """`count` arrays `[N,H,length,K]` on the device, one behind the other: one call copies in all.

    N is `capacity`, `position` the bytes of one head's position. The length is the `longest`, and
    can be changed up to that unless it is `fixed`. Memory holds zeros or old values, never what is
    not finite: masked positions are multiplied, too.
    """

    def __init__(
        self,
        cuda: Cuda,
        count: int,
        capacity: int,
        heads: int,
        position: int,
        longest: int,
        *,
        fixed: bool,
    ) -> None:
        self._cuda, self._count, self._heads, self._position = cuda, count, heads, position
        self._stride = capacity * heads * longest * position
        self._memory = cuda.empty(count * self._stride)
        self._scratch = DeviceArray(0, 0) if fixed else cuda.empty(self._stride)
        self._fixed, self.length = fixed, longest

    @property
    def arrays(self) -> list[DeviceArray]:
        """The arrays, each with room for the longest."""
        starts = range(self._memory.address, self._memory.address + self._memory.size, self._stride)
        return [DeviceArray(start, self._stride) for start in starts]

    def reset(self, length: int) -> None:
        """Begins again with no rows, zeros, and so many positions."""
        self.length = length
        self._cuda.clear(self._memory)

    def resize(self, rows: int, length: int) -> None:
        """Gives the arrays `length` positions; the first `rows` rows keep what they have."""
        assert not self._fixed
        new, old, place = length * self._position, self._pitch, self._scratch.address
        kept, lines = min(new, old), rows * self._heads
        for array in self.arrays:
            self._cuda.copy_rows(array.address, old, place, kept, kept, lines)
            self._cuda.copy_rows(place, kept, array.address, new, kept, lines)
        self.length = length

    def store(self, first: int, encoded: Encoded, rows: NDArray[np.intp]) -> None:
        """Puts row `rows[i]` of what the encoder gave into row `first + i`."""
        width = encoded.width * self._position
        for array, new in zip(self.arrays, encoded.arrays, strict=True):
            for start, stop, source in runs(rows):
                self._cuda.copy_rows(
                    new.address + source * self._heads * width,
                    width,
                    array.address + (first + start) * self._row,
                    self._pitch,
                    width,
                    (stop - start) * self._heads,
                )

    def copy(self, source: int, target: int, length: int) -> None:
        """Copies the first `length` positions of a row to another, where the length is fixed."""
        assert self._fixed
        stack = DeviceStack(self._memory.address, self._stride, self._pitch)
        offsets = source * self._row, target * self._row
        self._cuda.copy_box(stack, *offsets, length * self._position, self._heads, self._count)

    def copy_whole(self, source: int, target: int) -> None:
        """Copies a row to another, with all its positions."""
        start, stride = self._memory.address, self._stride
        places = start + source * self._row, stride, start + target * self._row, stride
        self._cuda.copy_rows(*places, self._row, self._count)

    def clear(self, row: int) -> None:
        """Makes all of a row zeros."""
        start = self._memory.address + row * self._row
        self._cuda.clear_lines(start, self._stride, self._row, self._count)

    @property
    def _pitch(self) -> int:
        return self.length * self._position

    @property
    def _row(self) -> int:
        return self._heads * self._pitch


def runs(rows: NDArray[np.intp]) -> list[tuple[int, int, int]]:
    """Stretches of consecutive numbers: where each starts and stops in `rows`, and its first."""
    found: list[tuple[int, int, int]] = []
    for index, row in enumerate(rows.tolist()):
        if found and row == found[-1][2] + index - found[-1][0]:
            found[-1] = (found[-1][0], index + 1, found[-1][2])
        else:
            found.append((index, index + 1, row))
    return found
