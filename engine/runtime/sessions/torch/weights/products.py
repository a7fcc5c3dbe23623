"""Products whose weights stay INT8 in memory."""

from dataclasses import dataclass

import torch
from torch import Tensor

from engine.runtime.sessions.torch import kernels
from engine.runtime.sessions.torch.kernels import plain

LARGE = 600_000_000
"""INT8 weights of a model, from which on it pays to read half the bytes: smaller ones wait for
launches."""

MOST_ROWS = 1024
"""Rows that wait for weights rather than for sums: with more, as in encoders, cuBLAS is faster."""


@dataclass(frozen=True)
class TorchInt8Product:
    """y = x W + b, where W is `weight [out,in]` INT8 times FP32 `inputs [in]` and `scales [out]`.

    `bias [out]` is FP32; inputs are rounded to `dtype` and results given in it, FP32 or BF16.
    """

    inputs: Tensor
    weight: Tensor
    scales: Tensor
    bias: Tensor
    dtype: torch.dtype

    @property
    def width(self) -> int:
        """How many columns it gives."""
        return self.weight.shape[0]

    def __call__(self, x: Tensor) -> Tensor:
        """Maps `x [n,in]` of any float type to `[n,out]`."""
        few = x.shape[0] <= MOST_ROWS
        compute = kernels.int8_product if few else plain.int8_product
        return compute(x, self.inputs, self.weight, self.scales, self.bias, self.dtype)
