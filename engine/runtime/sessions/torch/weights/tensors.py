"""The parts of a model, made of stored tensors: products, norms, embeddings and layers."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.native.layout import padded, unpack_bytes, unpack_floats
from engine.native.weights import MODEL_FILE, WeightsError, read_weights
from engine.runtime.sessions.torch.model import (
    Product,
    TorchEmbedding,
    TorchNorm,
    TorchProduct,
    TorchSublayer,
)
from engine.runtime.sessions.torch.weights import products
from engine.runtime.sessions.torch.weights.products import TorchInt8Product

Stored = NDArray[Any]
Made = TypeVar("Made")

_SUFFIXES = ("float", "half", "brain")
_LAYERS = ("encoder.", "decoder.")


def computing_type(precision: str, device: torch.device) -> torch.dtype:
    """What a variant is computed in; INT8 on a GPU in BF16, which has the range of FP32."""
    if precision == "int8":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    types = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
    return types[precision]


def weight_bytes(folder: Path, dtype: torch.dtype) -> int:
    """The memory that a variant's weights take, INT8 in `dtype` where it does not stay.

    Raises:
        WeightsError: see `read_weights`.

    """
    _, tensors = read_weights(folder)
    return stored_bytes(tensors, dtype)


def stored_bytes(tensors: Mapping[str, Stored], dtype: torch.dtype) -> int:
    """See `weight_bytes`."""
    large = is_large(tensors)

    def item(name: str, array: Stored) -> int:
        stays = array.dtype != np.int8 or (large and name.startswith(_LAYERS))
        return array.itemsize if stays else dtype.itemsize

    return sum(array.size * item(name, array) for name, array in tensors.items())


def is_large(tensors: Mapping[str, Stored]) -> bool:
    """Whether the products of a variant's layers stay INT8; what layers share counts once."""
    sizes = {id(one): one.size for one in tensors.values() if one.dtype == np.int8}
    return sum(sizes.values()) >= products.LARGE


def loaded(folder: Path, make: Callable[[Mapping[str, Any], Mapping[str, Stored]], Made]) -> Made:
    """What `make` makes of what `model.json` says and of the tensors of a variant.

    Raises:
        WeightsError: a file is missing, damaged or of another version, or describes no such model.

    """
    described, tensors = read_weights(folder)
    try:
        return make(described, tensors)
    except (KeyError, ValueError, TypeError, RuntimeError) as error:
        raise WeightsError(
            f"{folder / MODEL_FILE} describes no model ({error!r}): export the variant again."
        ) from error


class TensorReader:
    """Makes parts on `device` by the names of their tensors; INT8 is computed in `dtype`.

    Names that stand for the same tensors share memory.
    """

    def __init__(
        self,
        described: Mapping[str, Any],
        tensors: Mapping[str, Stored],
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self.described, self.tensors = described, tensors
        self.device, self.dtype = device, dtype
        self.width = int(described["width"])
        self._is_large = is_large(tensors)
        self._matrices: dict[tuple[int, ...], Tensor] = {}

    def sublayer(self, name: str, kind: str, inner: int, hidden: int) -> TorchSublayer:
        """The part `kind` (see `TorchSublayer`) of the layer `name`.

        `inner` is the width of all heads together, `hidden` that of a feed-forward block.
        """
        name, width = f"{name}.{kind}", self.width
        norm = self.norm(f"{name}.norm")
        if kind == "recurrence":
            entry = self._layer_product(f"{name}.input_forget", width, width, parts=2)
            return TorchSublayer(kind, norm, entry, None)
        if kind == "ffn":
            parts = 2 if self.described.get("gated") else 1
            up = "gate_up" if parts == 2 else "up"
            entry = self._layer_product(f"{name}.{up}", width, hidden, parts=parts)
            down = self._layer_product(f"{name}.down", hidden, width)
            return TorchSublayer(kind, norm, entry, down)
        own = kind == "attention"
        into, columns = ("qkv", 3 * inner) if own else ("query", inner)
        entry = self._layer_product(f"{name}.{into}", width, columns)
        output = self._layer_product(f"{name}.output", inner, width)
        return TorchSublayer(kind, norm, entry, output, self.norm_of(f"{name}.global_norm"))

    def _layer_product(self, name: str, depth: int, width: int, parts: int = 1) -> Product:
        """As `product`; INT8 stays so in a large model."""
        if not (self._is_large and f"{name}.int8" in self.tensors):
            return self.product(name, depth, width, parts)
        stored = {one: self.tensors[f"{name}.{one}"] for one in ("int8", "scales", "bias")}
        weight = torch.from_numpy(unpack_bytes(stored["int8"])[:depth])
        scales, bias = tensor_of(stored["scales"]), tensor_of(stored["bias"])
        self._check(name, weight, bias, depth, parts * padded(width))
        return TorchInt8Product(
            inputs=self.whole(f"{name}.inputs")[:depth].contiguous(),
            weight=self._plain(weight, parts, width).t().contiguous(),
            scales=self._plain(scales, parts, width),
            bias=self._plain(bias, parts, width),
            dtype=self.dtype,
        )

    def product(self, name: str, depth: int, width: int, parts: int = 1) -> TorchProduct:
        """A product of `parts` equal parts, each `width` wide without its padding."""
        bias = tensor_of(self.tensors[f"{name}.bias"])
        stored = self._stored(name)
        key = tuple(map(id, stored.values()))
        if key not in self._matrices:
            weight = self._matrix(stored)[:depth]
            self._check(name, weight, bias, depth, parts * padded(width))
            self._matrices[key] = self._plain(weight, parts, width)
        weight = self._matrices[key]
        return TorchProduct(weight, self._plain(bias.to(weight.dtype), parts, width))

    @staticmethod
    def _check(name: str, weight: Tensor, bias: Tensor, depth: int, width: int) -> None:
        if weight.shape[0] != depth or bias.numel() != weight.shape[1]:
            raise ValueError(f"{name} has another size")
        if weight.shape[1] != width:
            raise ValueError(f"{name} has another width")

    def _plain(self, array: Tensor, parts: int, width: int) -> Tensor:
        split = array.view(*array.shape[:-1], parts, -1)[..., :width]
        return split.flatten(-2).contiguous().to(self.device)

    def _stored(self, name: str) -> dict[str, Stored]:
        """The tensors that a matrix is made of, by suffix."""
        for suffix in _SUFFIXES:
            if f"{name}.{suffix}" in self.tensors:
                return {suffix: self.tensors[f"{name}.{suffix}"]}
        return {suffix: self.tensors[f"{name}.{suffix}"] for suffix in ("int8", "inputs", "scales")}

    def _matrix(self, stored: Mapping[str, Stored]) -> Tensor:
        """The matrix `[in,out]` of a product, padded as it is stored."""
        if "int8" not in stored:
            (packed,) = stored.values()
            return tensor_of(unpack_floats(packed))
        # Both sides' scales: `inputs` is what an input is multiplied with before it is rounded.
        whole = unpack_bytes(stored["int8"]).astype(np.float32)
        whole *= stored["inputs"][:, None] * stored["scales"]
        return torch.from_numpy(whole).to(self.dtype)

    def embedding(self, name: str, positions: str | None, width: int = 0) -> TorchEmbedding:
        """A vocabulary and, by name, a table of positions; `width` 0 is that of the model."""
        width = width or self.width
        scales = self.whole(f"{name}.scales")[:width] if f"{name}.scales" in self.tensors else None
        table = None if positions is None else self.table(positions, width).float()
        return TorchEmbedding(self.table(name, width), scales, table)

    def table(self, name: str, width: int) -> Tensor:
        """A table `[rows,width]`, in the type that it is stored in."""
        names = (name, *(f"{name}.{suffix}" for suffix in _SUFFIXES))
        stored = next(self.tensors[one] for one in names if one in self.tensors)
        return tensor_of(stored[:, :width]).to(self.device)

    def norm_of(self, name: str, width: int = 0) -> TorchNorm | None:
        """As `norm`, or None where there is none of that name."""
        return self.norm(name, width) if f"{name}.weight" in self.tensors else None

    def norm(self, name: str, width: int = 0) -> TorchNorm:
        """A norm; `width` 0 is that of the model."""
        width, has_bias = width or self.width, f"{name}.bias" in self.tensors
        bias = self.whole(f"{name}.bias")[:width] if has_bias else None
        weight, rms = self.whole(f"{name}.weight")[:width], bool(self.described.get("rms"))
        return TorchNorm(weight, bias, self.described["epsilon"], rms)

    def whole(self, name: str) -> Tensor:
        """A tensor as it is stored."""
        return tensor_of(self.tensors[name]).to(self.device)


def tensor_of(array: Stored) -> Tensor:
    """A copy as a tensor; bits of BF16, which NumPy knows no type for, become BF16."""
    copy = np.array(array)
    if copy.dtype == np.uint16:
        return torch.from_numpy(copy.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(copy)
