"""Products whose weights stay INT8 in memory."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec

import torch
from torch import Tensor

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
        compute = plain.int8_product
        if x.is_cuda and x.shape[0] <= MOST_ROWS:
            compute = _compiled()
        return compute(x, self.inputs, self.weight, self.scales, self.bias, self.dtype)


@cache
def _compiled() -> Callable[..., Tensor]:
    """The kernel in Triton's language, where that is installed: PyTorch for CUDA brings it."""
    if find_spec("triton") is None:
        return plain.int8_product
    from engine.runtime.sessions.torch.kernels.int8_product import int8_product

    return int8_product
