"""Attention of one position over caches, in Triton's language: contracts are those of `plain`.

A program computes one head of one row.  It reads no position but the row's own, which is why it
does not matter how wide the caches are.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

_ELEMENTS = 4096
"""Of keys that a program holds at a time: 32 for each of its threads."""
_WARPS = 4


@triton.jit
def attention_kernel(
    query: tl.tensor,
    key: tl.tensor,
    value: tl.tensor,
    keys: tl.tensor,
    values: tl.tensor,
    lengths: tl.tensor,
    table: tl.tensor,
    contexts: tl.tensor,
    row_stride: tl.tensor,
    cache_row: tl.tensor,
    cache_head: tl.tensor,
    furthest: tl.tensor,
    width: tl.constexpr,
    padded: tl.constexpr,
    block: tl.constexpr,
) -> None:
    """Softmax of scores as they come, in FP32 (arxiv.org/abs/1805.02867).

    `lengths` says how many positions of the caches are read.  A `key` and a `value` that are given
    come behind these: they are written there, and used from registers.  A `table` is read at the
    distance from there.
    """
    row, head = tl.program_id(0).to(tl.int64), tl.program_id(1)
    length = tl.load(lengths + row).to(tl.int32)
    columns = tl.arange(0, padded)
    used = columns < width
    own = row * row_stride + head * width + columns
    cache = row * cache_row + head * cache_head
    q = tl.load(query + own, mask=used, other=0.0).to(tl.float32)
    if key is not None:
        new_key = tl.load(key + own, mask=used, other=0.0).to(keys.dtype.element_ty)
        new_value = tl.load(value + own, mask=used, other=0.0).to(values.dtype.element_ty)
        place = cache + length * width + columns
        tl.store(keys + place, new_key, mask=used)
        tl.store(values + place, new_value, mask=used)
        best = tl.sum(q * new_key.to(tl.float32), axis=0)
        if table is not None:
            best += tl.load(table + head * (2 * furthest + 1) + furthest)
        total = tl.full([], 1.0, tl.float32)
        context = new_value.to(tl.float32)
    else:
        best = tl.full([], float("-inf"), tl.float32)
        total = tl.full([], 0.0, tl.float32)
        context = tl.zeros([padded], tl.float32)
    for start in range(0, length, block):
        places = start + tl.arange(0, block)
        seen = places < length
        mask = seen[:, None] & used[None, :]
        cells = cache + places[:, None] * width + columns[None, :]
        k = tl.load(keys + cells, mask=mask, other=0.0).to(tl.float32)
        v = tl.load(values + cells, mask=mask, other=0.0).to(tl.float32)
        scores = tl.sum(q[None, :] * k, axis=1)
        if table is not None:
            distances = tl.maximum(places - length, -furthest) + furthest
            scores += tl.load(table + head * (2 * furthest + 1) + distances, mask=seen, other=0.0)
        scores = tl.where(seen, scores, float("-inf"))
        top = tl.maximum(best, tl.max(scores, axis=0))
        scale, weights = tl.exp(best - top), tl.exp(scores - top)
        total = total * scale + tl.sum(weights, axis=0)
        context = context * scale + tl.sum(weights[:, None] * v, axis=0)
        best = top
    made = (context / total).to(contexts.dtype.element_ty)
    tl.store(contexts + (row * tl.num_programs(1) + head) * width + columns, made, mask=used)


def attend(query: Tensor, keys: Tensor, values: Tensor, lengths: Tensor) -> Tensor:
    """See `plain.attend`; behind a row's length there may be anything."""
    return _launch(query, None, None, keys, values, lengths, None)


def attend_own(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    keys: Tensor,
    values: Tensor,
    positions: Tensor,
    table: Tensor | None,
) -> Tensor:
    """See `plain.attend_own`; behind a row's position there may be anything."""
    assert query.stride() == key.stride() == value.stride()
    assert table is None or table.is_contiguous()
    return _launch(query, key, value, keys, values, positions, table)


def block_size(width: int) -> tuple[int, int]:
    """The power of 2 that holds a head's width, and how many positions are read at a time."""
    padded = triton.next_power_of_2(width)
    return padded, max(16, min(128, _ELEMENTS // padded))


def _launch(
    query: Tensor,
    key: Tensor | None,
    value: Tensor | None,
    keys: Tensor,
    values: Tensor,
    lengths: Tensor,
    table: Tensor | None,
) -> Tensor:
    rows, heads, width = query.shape
    assert query.stride()[1:] == keys.stride()[2:] == (width, 1)
    assert keys.stride() == values.stride() and lengths.is_contiguous()
    padded, block = block_size(width)
    contexts = torch.empty(rows, heads * width, dtype=values.dtype, device=values.device)
    tensors = query, key, value, keys, values, lengths, table, contexts
    furthest = 0 if table is None else table.shape[1] // 2
    strides = query.stride(0), keys.stride(0), keys.stride(1), furthest
    attention_kernel[(rows, heads)](*tensors, *strides, width, padded, block, num_warps=_WARPS)
    return contexts
