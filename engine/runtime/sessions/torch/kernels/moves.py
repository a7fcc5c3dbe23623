"""Copies of rows of caches, in Triton's language: the contract is that of `plain`."""

import triton
import triton.language as tl
from torch import Tensor

BLOCK = 1024


@triton.jit
def copy_kernel(
    cache: tl.tensor,
    sources: tl.tensor,
    targets: tl.tensor,
    part_stride: tl.tensor,
    row_stride: tl.tensor,
    head_stride: tl.tensor,
    heads: tl.tensor,
    size: tl.tensor,
    block: tl.constexpr,
) -> None:
    """Copies a block of the first `size` numbers of one head of one row."""
    move, part = tl.program_id(0), tl.program_id(1) // heads
    head = tl.program_id(1) % heads
    places = tl.program_id(2) * block + tl.arange(0, block)
    here = cache + part.to(tl.int64) * part_stride + head * head_stride + places
    source, target = tl.load(sources + move), tl.load(targets + move)
    moved = tl.load(here + source * row_stride, mask=places < size)
    tl.store(here + target * row_stride, moved, mask=places < size)


def copy_rows(cache: Tensor, sources: Tensor, targets: Tensor, length: int) -> None:
    """See `plain.copy_rows`."""
    parts, _, heads, _, width = cache.shape
    assert cache.stride()[3:] == (width, 1)
    size = length * width
    if not len(sources) or not size:
        return
    grid = len(sources), parts * heads, triton.cdiv(size, BLOCK)
    copy_kernel[grid](cache, sources, targets, *cache.stride()[:3], heads, size, BLOCK)
