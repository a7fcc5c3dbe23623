"""The best tokens of FP32 logits, in Triton's language: contracts are those of `plain`.

A logit and its token are one number of 64 bits, in whose order the better one comes last: the
logit's bits are above, and of equal ones the first token counts more.  So the best are found by
maxima alone.  A program looks at some thousand tokens of one row, and another joins a row's.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from engine.runtime.sessions.torch.kernels import plain

MOST = 16
"""How many tokens are found here: each takes a pass over registers."""
BLOCK = 4096
_WARPS = 8
LOWEST = tl.constexpr(-(2**63))
LAST = tl.constexpr(2**31 - 1)


@triton.jit
def ordered_keys(logits: tl.tensor, ids: tl.tensor) -> tl.tensor:
    """In whose order the largest logit comes last, and of equal ones the first id."""
    bits = tl.where(logits == 0, 0.0, logits).to(tl.int32, bitcast=True)  # 0 and -0 are equal
    ordered = tl.where(bits < 0, bits ^ LAST, bits)
    return (ordered.to(tl.int64) << 32) + (LAST - ids)


@triton.jit
def _logits(keys: tl.tensor) -> tl.tensor:
    ordered = (keys >> 32).to(tl.int32)
    return tl.where(ordered < 0, ordered ^ LAST, ordered).to(tl.float32, bitcast=True)


@triton.jit
def _finite(best: tl.tensor) -> tl.tensor:
    """What exponents are taken from: where all logits are -inf, any number."""
    return tl.where(best == float("-inf"), 0.0, best)


@triton.jit
def chunk_kernel(
    logits: tl.tensor,
    keys: tl.tensor,
    sums: tl.tensor,
    row_stride: tl.tensor,
    vocabulary: tl.tensor,
    count: tl.constexpr,
    block: tl.constexpr,
) -> None:
    """The best `count` of a chunk, and its sum of exponentials, the best one being 1."""
    row, chunk = tl.program_id(0).to(tl.int64), tl.program_id(1)
    ids = chunk * block + tl.arange(0, block)
    exists = ids < vocabulary
    x = tl.load(logits + row * row_stride + ids, mask=exists, other=float("-inf"))
    left = tl.where(exists, ordered_keys(x, ids), LOWEST)
    best = tl.max(left, axis=0)
    part = row * tl.num_programs(1) + chunk
    tl.store(sums + part, tl.sum(tl.exp(x - _finite(_logits(best))), axis=0))
    tl.store(keys + part * count, best)
    for place in range(1, count):
        left = tl.where(left == best, LOWEST, left)
        best = tl.max(left, axis=0)
        tl.store(keys + part * count + place, best)


@triton.jit
def row_kernel(
    keys: tl.tensor,
    sums: tl.tensor,
    ids: tl.tensor,
    values: tl.tensor,
    totals: tl.tensor,
    chunks: tl.tensor,
    count: tl.constexpr,
    padded: tl.constexpr,
) -> None:
    """Joins the chunks of a row: `padded` is the power of 2 that holds them."""
    row = tl.program_id(0).to(tl.int64)
    parts = tl.arange(0, padded)
    exists = parts < chunks
    firsts = tl.load(keys + (row * chunks + parts) * count, mask=exists, other=LOWEST)
    best = tl.max(firsts, axis=0)
    top = _finite(_logits(best))
    shares = tl.load(sums + row * chunks + parts, mask=exists, other=0.0)
    shares = tl.where(exists, shares * tl.exp(_logits(firsts) - top), 0.0)
    tl.store(totals + row, top + tl.log(tl.sum(shares, axis=0)))
    places = tl.arange(0, padded * count)
    left = tl.load(keys + row * chunks * count + places, mask=places < chunks * count, other=LOWEST)
    for place in range(count):
        tl.store(ids + row * count + place, LAST - (best & LAST))
        tl.store(values + row * count + place, _logits(best))
        left = tl.where(left == best, LOWEST, left)
        best = tl.max(left, axis=0)


def select(logits: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """See `plain.select`."""
    if count > MOST:
        return plain.select(logits, count)
    (rows, vocabulary), device = logits.shape, logits.device
    assert logits.stride(1) == 1
    kept = triton.next_power_of_2(count)
    chunks = triton.cdiv(vocabulary, BLOCK)
    keys = torch.empty(rows, chunks, kept, dtype=torch.int64, device=device)
    sums = torch.empty(rows, chunks, device=device)
    sizes = logits.stride(0), vocabulary
    chunk_kernel[(rows, chunks)](logits, keys, sums, *sizes, kept, BLOCK, num_warps=_WARPS)
    ids = torch.empty(rows, kept, dtype=torch.int64, device=device)
    values, totals = torch.empty(rows, kept, device=device), torch.empty(rows, device=device)
    outputs = ids, values, totals
    row_kernel[(rows,)](keys, sums, *outputs, chunks, kept, triton.next_power_of_2(chunks))
    return ids[:, :count], values[:, :count], totals


def choose(logits: Tensor) -> tuple[Tensor, Tensor]:
    """See `plain.choose`."""
    ids, values, totals = select(logits, 1)
    return ids[:, 0], values[:, 0] - totals
