"""The layouts that the native code reads weights in; see `src/model.h`.

Columns stand in groups of 16, so that one vector holds a value of each.  A product's depth is
padded to 64 where it is INT8, for AMX's tiles.  Heads are padded to 16 floats with zeros, which
changes no sum.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Bytes = NDArray[np.int8]

LANES = 16
DEPTH = 64
OFFSET = 128
"""What is added to rounded inputs, which the instructions want unsigned."""


def padded(size: int, step: int = LANES) -> int:
    """`size` rounded up to a multiple of `step`."""
    return -(-size // step) * step


def pad(array: NDArray[np.generic], axis: int, size: int, value: float = 0) -> NDArray[np.generic]:
    """`array` with `value` behind it on one axis, up to `size`."""
    widths = [(0, 0)] * array.ndim
    widths[axis] = (0, size - array.shape[axis])
    return np.pad(array, widths, constant_values=value)


def pack_floats(weight: Floats) -> Floats:
    """A matrix `[in,out]`, `out` a multiple of 16, as `[out/16,in,16]`."""
    depth, width = weight.shape
    packed = weight.reshape(depth, width // LANES, LANES).transpose(1, 0, 2)
    return np.ascontiguousarray(packed, dtype=np.float32)


def pack_bytes(weight: Bytes) -> Bytes:
    """A matrix `[in,out]`, `out` a multiple of 16, as `[out/16,in/4,16,4]`, `in` padded to 64."""
    deep = pad(weight, 0, padded(weight.shape[0], DEPTH))
    groups = deep.reshape(len(deep) // 4, 4, weight.shape[1] // LANES, LANES)
    return np.ascontiguousarray(groups.transpose(2, 0, 3, 1), dtype=np.int8)


def unpack_floats(packed: NDArray[Any]) -> NDArray[Any]:
    """The matrix `[in,out]` that is packed as `[out/16,in,16]`, of 32 or 16 bits."""
    groups, depth, _ = packed.shape
    return packed.transpose(1, 0, 2).reshape(depth, groups * LANES)


def unpack_bytes(packed: Bytes) -> Bytes:
    """The matrix `[in,out]`, `in` padded to 64, that is packed as `[out/16,in/4,16,4]`."""
    groups, quarters, _, four = packed.shape
    return packed.transpose(1, 3, 0, 2).reshape(quarters * four, groups * LANES)


def column_sums(weight: Bytes) -> NDArray[np.int32]:
    """What `OFFSET` adds to each column of the product with a matrix `[in,out]`, `[out]`."""
    sums: NDArray[np.int32] = OFFSET * weight.sum(axis=0, dtype=np.int32)
    return sums


def pad_heads(array: Floats, axis: int, head: int) -> Floats:
    """`array` with each `head` values of an axis padded to a multiple of 16."""
    axis %= array.ndim
    shape = array.shape
    split = array.reshape(*shape[:axis], shape[axis] // head, head, *shape[axis + 1 :])
    wide = pad(split, axis + 1, padded(head))
    joined = wide.reshape(*shape[:axis], -1, *shape[axis + 1 :])
    return np.ascontiguousarray(joined, dtype=np.float32)


def pad_parts(array: Floats, axis: int, parts: int) -> Floats:
    """`array` with each of `parts` equal parts of an axis padded to a multiple of 16."""
    return pad_heads(array, axis, array.shape[axis] // parts)
