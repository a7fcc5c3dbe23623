"""A variant's weights in the layouts that the native code reads, from its float graphs.

The graphs hold every matrix as it is multiplied with: scales folded in, projections of one input
joined.  What is INT8 is rounded as the graph's `Recipe` says, so both hold the same integers.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from engine.export.graphs.builder import Array
from engine.export.graphs.constants import values_of
from engine.export.precision.float_graphs import ENCODER, STEP, Graphs
from engine.export.precision.recipes import Recipe
from engine.export.precision.sensitivity import Rounding, round_matrix
from engine.model.config import BlockConfig, ModelConfig
from engine.native.layout import (
    DEPTH,
    LANES,
    column_sums,
    pack_bytes,
    pack_floats,
    pad,
    pad_heads,
    pad_parts,
    padded,
)
from engine.native.weights import StoredTensor, write_weights

PART = 4 << 20
"""Values of a matrix that are packed at once."""


def write_native(
    folder: Path,
    config: ModelConfig,
    graphs: Graphs,
    recipes: Mapping[str, Recipe],
    suppressed_ids: tuple[int, ...],
) -> None:
    """Writes `model.json` and `weights.safetensors` of an FP32 or INT8 encoder-decoder."""
    stacks = [_Stack(name, config, graphs[file], recipes[file]) for name, file in _FILES.items()]
    tensors = [tensor for stack in stacks for tensor in stack.tensors()]
    # The last are those whose size is no multiple of 64 bytes.
    tensors.sort(key=lambda tensor: tensor.name.endswith(".relative"))
    rounded = any(recipe.precision == "int8" for recipe in recipes.values())
    model = _described(config) | {
        "half_caches": rounded,
        "suppressed_ids": sorted(set(suppressed_ids)),
    }
    write_weights(folder, model, tensors)


_FILES = {"encoder": ENCODER, "decoder": STEP}


def _described(config: ModelConfig) -> dict[str, Any]:
    encoder, decoder = config.encoder_block, config.decoder_block
    return {
        "vocabulary": config.vocab_size,
        "width": config.d_model,
        "max_positions": config.max_positions,
        "furthest": config.relative_distance if config.positions == "relative" else 0,
        "pad_id": config.pad_id,
        "encoder_layers": config.encoder_layers,
        "encoder_heads": encoder.heads,
        "encoder_head": padded(encoder.head_width),
        "encoder_hidden": padded(encoder.hidden),
        "decoder_layers": config.decoder_layers,
        "decoder_heads": decoder.heads,
        "decoder_head": padded(decoder.head_width),
        "decoder_hidden": padded(decoder.hidden),
        "pre_norm": config.norm == "pre",
        "rms": config.norm_kind == "rms",
        "gated": config.gated,
        "pads_have_no_position": config.positions == "shifted_sinusoidal",
        "activation": config.activation,
        "epsilon": config.norm_epsilon,
    }


class _Stack:
    """The tensors of one stack; names are those of `src/api.cpp`."""

    def __init__(
        self, name: str, config: ModelConfig, graph: onnx.ModelProto, recipe: Recipe
    ) -> None:
        self.name, self.config, self.recipe = name, config, recipe
        self.block: BlockConfig = (
            config.encoder_block if name == "encoder" else config.decoder_block
        )
        self.constants = {constant.name: constant for constant in graph.graph.initializer}

    def tensors(self) -> Iterator[StoredTensor]:
        config, name = self.config, self.name
        if name == "encoder":
            yield from self._embedding()
        yield from self._places()
        if config.embedding_norm:
            yield from self._norm(f"{name}.embedding_norm", f"{name}_embedding_norm")
        if config.norm == "pre":
            yield from self._norm(f"{name}.norm", f"{name}_norm")
        layers = config.encoder_layers if name == "encoder" else config.decoder_layers
        for layer in range(layers):
            yield from self._layer(f"{name}.{layer}")
        if name == "encoder":
            # Keys and values are of the decoder's heads.
            head = config.decoder_block.head_width
            yield from self._product("cross_projections", "cross_projections", head_out=head)
        else:
            yield from self._head()

    def _layer(self, prefix: str) -> Iterator[StoredTensor]:
        head, parts = self.block.head_width, 2 if self.block.gated else 1
        kinds = ["attention"] if self.name == "encoder" else ["attention", "cross_attention"]
        for kind in kinds:
            entry = "qkv" if kind == "attention" else "query"
            here = f"{prefix}.{kind}"
            yield from self._norm(f"{here}.norm", f"{here}.norm")
            yield from self._product(f"{here}.{entry}", f"{here}.sublayer.{entry}", head_out=head)
            yield from self._product(f"{here}.output", f"{here}.sublayer.output", head_in=head)
        here, up = f"{prefix}.ffn", "gate_up" if self.block.gated else "up"
        yield from self._norm(f"{here}.norm", f"{here}.norm")
        yield from self._product(f"{here}.{up}", f"{here}.sublayer.{up}", parts_out=parts)
        yield from self._product(f"{here}.down", f"{here}.sublayer.down", parts_in=1)

    def _embedding(self) -> Iterator[StoredTensor]:
        table, scale = self._values("embedding"), np.float32(self.config.embedding_scale)
        width = padded(table.shape[1])
        rows = max(1, PART // width)

        def parts() -> Iterator[Array]:
            for first in range(0, len(table), rows):
                yield pad(table[first : first + rows] * scale, 1, width)

        yield StoredTensor("embedding", "F32", (len(table), width), parts)

    def _places(self) -> Iterator[StoredTensor]:
        """What a stack knows of positions."""
        if self.config.positions == "relative":
            yield _whole(f"{self.name}.relative", self._values("relative_bias").T)
            return
        table = self._values("positions_table")[: self.config.max_positions]
        yield _whole(f"{self.name}.positions", pad(table, 1, padded(table.shape[1])))

    def _norm(self, name: str, source: str) -> Iterator[StoredTensor]:
        for part in ("weight", "bias"):
            if f"{source}.{part}" in self.constants:
                values = self._values(f"{source}.{part}")
                yield _whole(f"{name}.{part}", pad(values, 0, padded(values.size)))

    def _head(self) -> Iterator[StoredTensor]:
        """The head's bias has suppressed tokens' own, and -inf behind the vocabulary."""
        size = self.config.vocab_size
        bias = np.full(padded(size), -np.inf, np.float32)
        bias[:size] = self._values("head.bias") if "head.bias" in self.constants else 0
        few = "suppressed_head.weight" in self.constants
        if few:
            # The graph's bias is -inf where tokens are suppressed.
            hidden = np.flatnonzero(np.isneginf(bias[:size]))
            own = self.constants.get("suppressed_head.bias")
            bias[hidden] = 0 if own is None else values_of(own)
        product = "head" if "head.bias" in self.constants else "logits"
        yield from self._product("head", "head", product=product, bias=bias)

    def _product(
        self,
        name: str,
        source: str,
        *,
        product: str = "",
        head_in: int = 0,
        head_out: int = 0,
        parts_in: int = 0,
        parts_out: int = 1,
        bias: Array | None = None,
    ) -> Iterator[StoredTensor]:
        """A product whose inputs or outputs are heads, or parts, of a width that is padded."""
        weight = _Matrix(self._values(f"{source}.weight"), head_in, head_out, parts_in, parts_out)
        if bias is None:
            stored = self.constants.get(f"{source}.bias")
            plain = np.zeros(weight.plain_out, np.float32) if stored is None else values_of(stored)
            bias = weight.wide_out(plain, 0)
        rounding = self.recipe.roundings.get(product or source)
        if rounding is None:
            shape = (weight.out // LANES, weight.depth, LANES)
            yield StoredTensor(f"{name}.float", "F32", shape, weight.packed)
        else:
            yield from _rounded(name, weight, rounding)
        yield _whole(f"{name}.bias", bias)

    def _values(self, name: str) -> Array:
        return values_of(self.constants[name])


class _Matrix:
    """A matrix `[in,out]` of a graph, and how its sides are padded."""

    def __init__(
        self, values: Array, head_in: int, head_out: int, parts_in: int, parts_out: int
    ) -> None:
        self.values = values
        self.head_in = head_in or (values.shape[0] // parts_in if parts_in else 0)
        self.head_out, self.parts_out = head_out, parts_out
        self.plain_out = values.shape[1]
        self.depth = self.wide_in(np.zeros(values.shape[0], np.float32), 0).size
        self.out = self.wide_out(np.zeros(values.shape[1], np.float32), 0).size

    def wide_in(self, array: Array, axis: int) -> Array:
        return pad_heads(array, axis, self.head_in) if self.head_in else array

    def wide_out(self, array: Array, axis: int) -> Array:
        if self.head_out:
            return pad_heads(array, axis, self.head_out)
        return pad_parts(array, axis, self.parts_out)

    def columns(self) -> Iterator[Array]:
        """Its columns in groups, `[in,n]`, whose padded width is a multiple of 16."""
        unit = self.head_out or LANES
        if not self.head_out and self.parts_out > 1:
            unit = self.plain_out
        step = unit * max(1, PART // (self.values.shape[0] * unit))
        for first in range(0, self.plain_out, step):
            yield self.values[:, first : first + step]

    def packed(self) -> Iterator[Array]:
        for columns in self.columns():
            yield pack_floats(self.wide_in(self.wide_out(columns, 1), 0))


def _rounded(name: str, weight: _Matrix, rounding: Rounding) -> Iterator[StoredTensor]:
    """A product in INT8.  Scales and sums are known once the integers were made."""
    scales: list[Array] = []
    sums: list[Array] = []

    def integers() -> Iterator[Array]:
        for columns in weight.columns():
            rounded, scale = round_matrix(columns, rounding.divisors)
            wide = weight.wide_in(weight.wide_out(rounded, 1), 0).astype(np.int8)
            scales.append(weight.wide_out(scale * np.float32(rounding.scale), 0))
            sums.append(column_sums(wide))
            yield pack_bytes(wide)

    deep = padded(weight.depth, DEPTH)
    shape = (weight.out // LANES, deep // 4, LANES, 4)
    yield StoredTensor(f"{name}.int8", "I8", shape, integers)
    yield StoredTensor(f"{name}.scales", "F32", (weight.out,), lambda: scales)
    yield StoredTensor(f"{name}.sums", "I32", (weight.out,), lambda: sums)
    depth = weight.values.shape[0]
    divisors = np.ones(depth, np.float32) if rounding.divisors is None else rounding.divisors
    factors = (1 / (divisors * np.float32(rounding.scale))).astype(np.float32)
    yield _whole(f"{name}.inputs", pad(weight.wide_in(factors, 0), 0, deep))


def _whole(name: str, array: Array) -> StoredTensor:
    values = np.ascontiguousarray(array, np.float32)
    return StoredTensor(name, "F32", values.shape, lambda: [values])
