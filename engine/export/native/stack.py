"""The tensors of one stack of layers, in the layouts that the native code reads.

The float graphs hold every matrix as it is multiplied with: scales folded in, projections of one
input joined.  What is INT8 is rounded as the graph's `Recipe` says, so both hold the same integers,
and what is in 16 bits as `half_weights` does it.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from engine.export.graphs.builder import Array
from engine.export.graphs.constants import values_of
from engine.export.precision.recipes import Recipe, half_type
from engine.export.precision.sensitivity import Rounding, round_matrix
from engine.model.config import BlockConfig
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
from engine.native.weights import TYPES, StoredTensor

PART = 4 << 20
"""Values of a matrix that are packed at once."""


class NativeStack:
    """Makes tensors of a graph's constants; their names are those of `src/api.cpp`."""

    def __init__(self, block: BlockConfig, graph: onnx.ModelProto, recipe: Recipe) -> None:
        self.block, self.recipe = block, recipe
        self.constants = {constant.name: constant for constant in graph.graph.initializer}
        self.halved = recipe.halved(graph)
        """The names of those that are in 16 bits."""
        self.half = helper.tensor_dtype_to_np_dtype(half_type(recipe.precision))

    def layer(
        self, name: str, source: str, kinds: Sequence[str] = ("attention",)
    ) -> Iterator[StoredTensor]:
        """A layer whose constants' names begin with `source`; `kinds` come before its last part."""
        head, parts = self.block.head_width, 2 if self.block.gated else 1
        for kind in kinds:
            if kind == "recurrence":
                yield from self._recurrence(f"{name}.{kind}", f"{source}.{kind}")
                continue
            entry = "qkv" if kind == "attention" else "query"
            to, here = f"{name}.{kind}", f"{source}.{kind}"
            yield from self.norm(f"{to}.norm", f"{here}.norm")
            yield from self.norm(f"{to}.global_norm", f"{here}.sublayer.global_norm")
            yield from self.product(f"{to}.{entry}", f"{here}.sublayer.{entry}", head_out=head)
            yield from self.product(f"{to}.output", f"{here}.sublayer.output", head_in=head)
        to, here, up = f"{name}.ffn", f"{source}.ffn", "gate_up" if self.block.gated else "up"
        yield from self.norm(f"{to}.norm", f"{here}.norm")
        yield from self.product(f"{to}.{up}", f"{here}.sublayer.{up}", parts_out=parts)
        yield from self.product(f"{to}.down", f"{here}.sublayer.down", parts_in=1)

    def _recurrence(self, name: str, source: str) -> Iterator[StoredTensor]:
        yield from self.norm(f"{name}.norm", f"{source}.norm")
        both = f"{source}.sublayer.input_forget"
        yield from self.product(f"{name}.input_forget", both, parts_out=2)

    def table(
        self, name: str, source: str, scale: float = 1.0, rows: int | None = None
    ) -> StoredTensor:
        """A table of embeddings, each times `scale`, or its first `rows`."""
        table, factor = self.values(source)[:rows], np.float32(scale)
        width = padded(table.shape[1])
        together = max(1, PART // width)

        def parts() -> Iterator[Array]:
            for first in range(0, len(table), together):
                yield pad(table[first : first + together] * factor, 1, width)

        if source in self.halved:
            return self._in_half(name, (len(table), width), parts)
        return StoredTensor(name, "F32", (len(table), width), parts)

    def norm(self, name: str, source: str) -> Iterator[StoredTensor]:
        """A norm's weight and bias, as far as it has them."""
        for part in ("weight", "bias"):
            if f"{source}.{part}" in self.constants:
                values = self.values(f"{source}.{part}")
                yield whole(f"{name}.{part}", pad(values, 0, padded(values.size)))

    def product(
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
        weight = _Matrix(self.values(f"{source}.weight"), head_in, head_out, parts_in, parts_out)
        if bias is None:
            stored = self.constants.get(f"{source}.bias")
            plain = np.zeros(weight.plain_out, np.float32) if stored is None else values_of(stored)
            bias = weight.wide_out(plain, 0)
        rounding = self.recipe.roundings.get(product or source)
        shape = (weight.out // LANES, weight.depth, LANES)
        if rounding is not None:
            yield from _rounded(name, weight, rounding)
        elif f"{source}.weight" in self.halved:
            yield self._in_half(name, shape, weight.packed)
        else:
            yield StoredTensor(f"{name}.float", "F32", shape, weight.packed)
        yield whole(f"{name}.bias", bias)

    def values(self, name: str) -> Array:
        """A constant of the graph."""
        return values_of(self.constants[name])

    def served(self, name: str) -> Array:
        """Likewise, with the values that the serving graph has: a copy where they are rounded."""
        values = self.values(name)
        return values.astype(self.half).astype(np.float32) if name in self.halved else values

    def _in_half(
        self, name: str, shape: tuple[int, ...], floats: Callable[[], Iterable[Array]]
    ) -> StoredTensor:
        """What `floats` makes, rounded to 16 bits."""
        suffix, kind = ("half", "F16") if self.half == np.float16 else ("brain", "BF16")

        def parts() -> Iterator[Array]:
            for part in floats():
                yield part.astype(self.half).view(TYPES[kind])

        return StoredTensor(f"{name}.{suffix}", kind, shape, parts)


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
        scales.clear()
        sums.clear()
        done = 0
        for columns in weight.columns():
            last = done + columns.shape[1]
            given = None if rounding.columns is None else rounding.columns[done:last]
            done = last
            rounded, scale = round_matrix(columns, rounding.divisors, given)
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
    yield whole(f"{name}.inputs", pad(weight.wide_in(factors, 0), 0, deep))


def whole(name: str, array: NDArray[Any], kind: str = "F32") -> StoredTensor:
    """A tensor that is in memory as it is written."""
    values = np.ascontiguousarray(array, TYPES[kind])
    return StoredTensor(name, kind, values.shape, lambda: [values])
