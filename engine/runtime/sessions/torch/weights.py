"""A variant's weights on a device, read from the files of native code.

A product is computed in the type that it is stored in, since the export keeps in FP32 what 16 bits
do not hold; INT8 products become matrices of the variant's computing type.  Padding stays only
within heads and feed-forward blocks, where zeros change no sum.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.model.shortlist import Shortlist
from engine.native.layout import padded, unpack_bytes, unpack_floats
from engine.native.weights import MODEL_FILE, WeightsError, read_weights
from engine.runtime.sessions.torch.model import (
    TorchEmbedding,
    TorchModel,
    TorchNorm,
    TorchProduct,
    TorchStack,
    TorchSublayer,
)

Stored = NDArray[Any]

_SUFFIXES = ("float", "half", "brain")


def computing_type(precision: str, device: torch.device) -> torch.dtype:
    """What a variant is computed in; INT8 on a GPU in BF16, which has the range of FP32."""
    if precision == "int8":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    types = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
    return types[precision]


def weight_bytes(folder: Path, dtype: torch.dtype) -> int:
    """The memory that a variant's weights take, INT8 in `dtype`.

    Raises:
        WeightsError: see `read_weights`.

    """
    _, tensors = read_weights(folder)
    return sum(
        array.size * (dtype.itemsize if array.dtype == np.int8 else array.itemsize)
        for array in tensors.values()
    )


def load_model(folder: Path, device: torch.device, dtype: torch.dtype) -> TorchModel:
    """Reads a variant.

    Raises:
        WeightsError: a file is missing, damaged or of another version.

    """
    described, tensors = read_weights(folder)
    try:
        return _WeightReader(described, tensors, device, dtype).model()
    except (KeyError, ValueError, TypeError, RuntimeError) as error:
        raise WeightsError(
            f"{folder / MODEL_FILE} describes no model ({error!r}): export the variant again."
        ) from error


class _WeightReader:
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
        self.vocabulary = int(described["vocabulary"])

    def model(self) -> TorchModel:
        described = self.described
        layers, inner = described["decoder_layers"], self._inner("decoder")
        cross = self._product("cross_projections", self.width, layers * 2 * inner)
        head = self._product("head", self.width, self.vocabulary)
        suppressed = torch.tensor(described["suppressed_ids"], dtype=torch.int64)
        return TorchModel(
            device=self.device,
            dtype=self.dtype,
            encoder=self._stack("encoder", ["attention", "ffn"], cross),
            decoder=self._stack(
                "decoder",
                ["recurrence" if described["recurrent"] else "attention", "cross_attention", "ffn"],
                head,
            ),
            width=self.width,
            vocabulary=self.vocabulary,
            source_vocabulary=described["source_vocabulary"] or self.vocabulary,
            max_positions=described["max_positions"],
            activation=described["activation"],
            pre_norm=bool(described["pre_norm"]),
            gated=bool(described["gated"]),
            recurrent=bool(described["recurrent"]),
            unplaced=described["pad_id"] if described["pads_have_no_position"] else None,
            suppressed=suppressed.to(self.device),
            shortlist=self._shortlist() if described["shortlist"] else None,
        )

    def _shortlist(self) -> Shortlist:
        return Shortlist(self.tensors["shortlist.ends"], self.tensors["shortlist.ids"])

    def _inner(self, name: str) -> int:
        return int(self.described[f"{name}_heads"] * self.described[f"{name}_head"])

    def _stack(self, name: str, kinds: list[str], last: TorchProduct) -> TorchStack:
        described = self.described
        own = name == "encoder" and described["source_vocabulary"] > 0
        is_relative = f"{name}.relative" in self.tensors
        return TorchStack(
            heads=described[f"{name}_heads"],
            head=described[f"{name}_head"],
            embedding=self._embedding(
                "source_embedding" if own else "embedding",
                None if is_relative else f"{name}.positions",
            ),
            relative=self._whole(f"{name}.relative") if is_relative else None,
            embedding_norm=self._norm(f"{name}.embedding_norm", optional=True),
            final_norm=self._norm(f"{name}.norm", optional=True),
            layers=[
                [self._sublayer(name, layer, kind) for kind in kinds]
                for layer in range(described[f"{name}_layers"])
            ],
            last=last,
        )

    def _sublayer(self, stack: str, layer: int, kind: str) -> TorchSublayer:
        name, width, inner = f"{stack}.{layer}.{kind}", self.width, self._inner(stack)
        norm = self._norm(f"{name}.norm")
        assert norm is not None
        if kind == "recurrence":
            entry = self._product(f"{name}.input_forget", width, width, parts=2)
            return TorchSublayer(kind, norm, entry, None)
        if kind == "ffn":
            hidden, parts = self.described[f"{stack}_hidden"], 2 if self.described["gated"] else 1
            up = "gate_up" if parts == 2 else "up"
            entry = self._product(f"{name}.{up}", width, hidden, parts=parts)
            return TorchSublayer(kind, norm, entry, self._product(f"{name}.down", hidden, width))
        own = kind == "attention"
        entry = self._product(
            f"{name}.{'qkv' if own else 'query'}", width, inner * (3 if own else 1)
        )
        return TorchSublayer(kind, norm, entry, self._product(f"{name}.output", inner, width))

    def _product(self, name: str, depth: int, width: int, parts: int = 1) -> TorchProduct:
        """A product of `parts` equal parts, each `width` wide without its padding."""
        bias = tensor_of(self.tensors[f"{name}.bias"])
        weight = self._matrix(name)[:depth]

        def plain(array: Tensor) -> Tensor:
            split = array.view(*array.shape[:-1], parts, -1)[..., :width]
            return split.flatten(-2).contiguous().to(self.device)

        if weight.shape[0] != depth or bias.numel() != weight.shape[1]:
            raise ValueError(f"{name} has another size")
        if weight.shape[1] != parts * padded(width):
            raise ValueError(f"{name} has another width")
        return TorchProduct(plain(weight), plain(bias.to(weight.dtype)))

    def _matrix(self, name: str) -> Tensor:
        """The matrix `[in,out]` of a product, padded as it is stored."""
        tensors = self.tensors
        for suffix in _SUFFIXES:
            if f"{name}.{suffix}" in tensors:
                return tensor_of(unpack_floats(tensors[f"{name}.{suffix}"]))
        # Both sides' scales: `inputs` is what an input is multiplied with before it is rounded.
        whole = unpack_bytes(tensors[f"{name}.int8"]).astype(np.float32)
        whole *= tensors[f"{name}.inputs"][:, None] * tensors[f"{name}.scales"]
        return torch.from_numpy(whole).to(self.dtype)

    def _embedding(self, name: str, positions: str | None) -> TorchEmbedding:
        scales = (
            self._whole(f"{name}.scales")[: self.width]
            if f"{name}.scales" in self.tensors
            else None
        )
        table = None if positions is None else self._table(positions).float()
        return TorchEmbedding(self._table(name), scales, table)

    def _table(self, name: str) -> Tensor:
        """A table `[rows,width]`, in the type that it is stored in."""
        names = (name, *(f"{name}.{suffix}" for suffix in _SUFFIXES))
        stored = next(self.tensors[one] for one in names if one in self.tensors)
        return tensor_of(stored[:, : self.width]).to(self.device)

    def _norm(self, name: str, optional: bool = False) -> TorchNorm | None:
        if optional and f"{name}.weight" not in self.tensors:
            return None
        bias = self._whole(f"{name}.bias")[: self.width] if f"{name}.bias" in self.tensors else None
        weight = self._whole(f"{name}.weight")[: self.width]
        return TorchNorm(weight, bias, self.described["epsilon"], bool(self.described["rms"]))

    def _whole(self, name: str) -> Tensor:
        return tensor_of(self.tensors[name]).to(self.device)


def tensor_of(array: Stored) -> Tensor:
    """A copy as a tensor; bits of BF16, which NumPy knows no type for, become BF16."""
    copy = np.array(array)
    if copy.dtype == np.uint16:
        return torch.from_numpy(copy.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(copy)
