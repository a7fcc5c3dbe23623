"""Residual sums and their norms, in Triton's language: the contract is that of `plain`."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from engine.runtime.sessions.torch.model import TorchNorm


@triton.jit
def residual_kernel(
    x: tl.tensor,
    update: tl.tensor,
    weight: tl.tensor,
    bias: tl.tensor,
    kept: tl.tensor,
    rounded: tl.tensor,
    width: tl.tensor,
    epsilon: tl.tensor,
    pre_norm: tl.constexpr,
    rms: tl.constexpr,
    block: tl.constexpr,
) -> None:
    """One row: all of it is in registers, so the variance is that around the mean."""
    columns = tl.arange(0, block)
    used = columns < width
    cells = tl.program_id(0).to(tl.int64) * width + columns
    total = tl.load(x + cells, mask=used, other=0.0)
    total += tl.load(update + cells, mask=used, other=0.0).to(tl.float32)
    around = total if rms else tl.where(used, total - tl.sum(total, axis=0) / width, 0.0)
    deviation = tl.sqrt(tl.sum(around * around, axis=0) / width + epsilon)
    made = around / deviation * tl.load(weight + columns, mask=used, other=0.0)
    if bias is not None:
        made += tl.load(bias + columns, mask=used, other=0.0)
    tl.store(kept + cells, total if pre_norm else made, mask=used)
    if rounded is not None:
        tl.store(rounded + cells, made.to(rounded.dtype.element_ty), mask=used)


def residual(
    x: Tensor, update: Tensor, norm: TorchNorm, *, pre_norm: bool, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """See `plain.residual`."""
    rows, width = x.shape
    assert x.is_contiguous() and update.is_contiguous() and x.dtype == torch.float32
    kept = torch.empty_like(x)
    rounded = None
    if pre_norm or dtype != torch.float32:
        rounded = torch.empty(rows, width, dtype=dtype, device=x.device)
    block = triton.next_power_of_2(width)
    tensors = x, update, norm.weight, norm.bias, kept, rounded
    residual_kernel[(rows,)](
        *tensors, width, norm.epsilon, pre_norm, norm.rms, block, num_warps=warps(block)
    )
    return kept, kept if rounded is None else rounded


def warps(block: int) -> int:
    """How many share a row: each thread has 8 numbers, while there are threads."""
    return max(1, min(16, block // 256))
