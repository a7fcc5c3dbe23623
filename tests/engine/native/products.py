"""Products as the kernels take them: packed, padded, under the name "product"."""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper

from engine.native import layout, library

Floats = NDArray[np.float32]
Bytes = NDArray[np.int8]
Tensors = dict[str, NDArray[Any]]
HalfType = Literal["half", "brain"]
HALF_TYPES: dict[HalfType, np.dtype[Any]] = {
    "half": helper.tensor_dtype_to_np_dtype(TensorProto.FLOAT16),
    "brain": helper.tensor_dtype_to_np_dtype(TensorProto.BFLOAT16),
}


def int8_product(
    weight: Bytes,
    inputs: Floats | float = 1.0,
    scales: Floats | float = 1.0,
    bias: Floats | float = 0.0,
) -> Tensors:
    """`weight [in,out]`; `inputs [in]`, `scales [out]` and `bias [out]`, or one for all."""
    depth, out = weight.shape
    wide = layout.padded(out)
    padded = layout.pad(weight, 1, wide)
    return {
        "product.int8": layout.pack_bytes(padded),
        "product.sums": layout.column_sums(padded),
        "product.inputs": _vector(inputs, depth, layout.padded(depth, layout.DEPTH)),
        "product.scales": _vector(scales, out, wide),
        "product.bias": _vector(bias, out, wide),
    }


def float_product(weight: Floats, bias: Floats | float = 0.0) -> Tensors:
    """As `int8_product`."""
    out = weight.shape[1]
    wide = layout.padded(out)
    return {
        "product.float": layout.pack_floats(layout.pad(weight, 1, wide)),
        "product.bias": _vector(bias, out, wide),
    }


def half_product(weight: Floats, kind: HalfType, bias: Floats | float = 0.0) -> Tensors:
    """As `float_product`, with weights rounded to 16 bits."""
    tensors = float_product(weight, bias)
    floats = tensors.pop("product.float")
    with np.errstate(invalid="ignore"):  # of what is no number
        return tensors | {f"product.{kind}": floats.astype(HALF_TYPES[kind])}


def _vector(values: Floats | float, size: int, wide: int) -> Floats:
    whole = np.broadcast_to(np.asarray(values, np.float32), (size,))
    return layout.pad(whole, 0, wide)


def multiply(
    tensors: Tensors, x: Floats, out: int, activation: str = "none", backend: str = ""
) -> Floats:
    """The product with `x [rows,in]`, `[rows,out]`."""
    padded = layout.pad(x, 1, layout.padded(x.shape[1]))
    return library.multiply(tensors, padded, x.shape[1], activation, backend)[:, :out]
