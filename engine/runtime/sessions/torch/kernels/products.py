"""Products with INT8 weights in Triton's language: the contract is that of `plain`."""

import torch
import triton
import triton.language as tl
from torch import Tensor


@triton.jit
def int8_kernel(
    x: tl.tensor,
    inputs: tl.tensor,
    weight: tl.tensor,
    scales: tl.tensor,
    bias: tl.tensor,
    out: tl.tensor,
    rows: tl.tensor,
    depth: tl.tensor,
    width: tl.tensor,
    block_rows: tl.constexpr,
    block_width: tl.constexpr,
    block_depth: tl.constexpr,
) -> None:
    """Some rows of some columns: integers become the type of `out`, which holds them exactly."""
    lines = tl.program_id(1) * block_rows + tl.arange(0, block_rows)
    columns = tl.program_id(0) * block_width + tl.arange(0, block_width)
    live, used = lines < rows, columns < width
    lefts = x + lines.to(tl.int64)[:, None] * depth
    rights = weight + columns.to(tl.int64)[None, :] * depth
    totals = tl.zeros((block_rows, block_width), tl.float32)
    for first in range(0, depth, block_depth):
        places = first + tl.arange(0, block_depth)
        within = places < depth
        left = tl.load(lefts + places[None, :], mask=live[:, None] & within[None, :], other=0.0)
        factors = tl.load(inputs + places, mask=within, other=0.0)
        right = tl.load(rights + places[:, None], mask=within[:, None] & used[None, :], other=0)
        scaled = (left.to(tl.float32) * factors[None, :]).to(out.dtype.element_ty)
        exact = right.to(out.dtype.element_ty)
        totals = tl.dot(scaled, exact, totals, input_precision="ieee")
    totals *= tl.load(scales + columns, mask=used, other=0.0)[None, :]
    totals += tl.load(bias + columns, mask=used, other=0.0)[None, :]
    cells = out + lines.to(tl.int64)[:, None] * width + columns[None, :]
    tl.store(cells, totals.to(out.dtype.element_ty), mask=live[:, None] & used[None, :])


def int8_product(
    x: Tensor, inputs: Tensor, weight: Tensor, scales: Tensor, bias: Tensor, dtype: torch.dtype
) -> Tensor:
    """See `plain.int8_product`; sums are FP32."""
    (rows, depth), width = x.shape, weight.shape[0]
    assert weight.is_contiguous() and weight.shape[1] == depth
    x = x.to(dtype).contiguous()
    out = torch.empty(rows, width, dtype=dtype, device=x.device)
    # Few rows wait for weights: many programs read them, each a long piece of a column at a time.
    block_rows = max(16, min(64, triton.next_power_of_2(rows)))
    block_width, block_depth = (16, 128) if block_rows == 16 else (32, 64)
    grid = triton.cdiv(width, block_width), triton.cdiv(rows, block_rows)
    int8_kernel[grid](
        *(x, inputs, weight, scales, bias, out, rows, depth, width),
        *(block_rows, block_width, block_depth),
        num_warps=4,
        num_stages=4,
    )
    return out
