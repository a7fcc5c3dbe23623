"""A float graph in 16 bits: every value has the type that it is computed in, with casts between.

TensorRT's strongly typed networks and ONNX Runtime's CUDA provider compute in the types that a
graph states (Micikevicius et al. 2018, arXiv:1710.03740).  Here products, attention and activations
are 16-bit.  FP32 are the residual sums and the norms that read them, since they gather the rounding
of every layer and are small; what makes the logits, and their softmax, since from 16 to 32 the
steps of FP16 are 1/64 and those of BF16 1/8, and the best tokens often lie closer; and what would
overflow (`keep`).
"""

import numpy as np
import onnx
from onnx import TensorProto, helper

from engine.export.graphs.builder import (
    MIGRATED,
    RESIDUAL,
    Array,
    check_model,
    rebuilt,
    without_constants,
)
from engine.export.graphs.constants import make_constant, values_of

FLOAT, FLOAT16, BFLOAT16 = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16

_FLOATS = {FLOAT, FLOAT16, BFLOAT16}

_FOLLOWING = {"Concat", "Expand", "GatherElements", "Reshape", "Slice", "Split", "Squeeze", "TopK"}
_FOLLOWING |= {"Transpose", "Unsqueeze", "Identity"}
"""Operators that move values and compute none: they take the type of what they are given."""

_FLOAT_ONLY = {"LayerNormalization", "LogSoftmax", "RMSNormalization"}

_LOGITS = {"head", "head_output", "logits", "suppressed_logits"}
"""The nodes that make logits, of decoder steps and of encoders."""

_STATE = ("present_", "cross_key_", "cross_value_")
"""How the outputs begin that other runs read again: they stay in 16 bits; others leave as FP32."""


def value_types(model: onnx.ModelProto) -> dict[str, int]:
    """The element type of every value of a graph, constants included."""
    skeleton = without_constants(model)
    for constant in model.graph.initializer:
        info = helper.make_tensor_value_info(constant.name, constant.data_type, constant.dims)
        skeleton.graph.input.append(info)
    inferred = onnx.shape_inference.infer_shapes(skeleton, strict_mode=False).graph
    infos = [*inferred.input, *inferred.value_info, *inferred.output]
    return {info.name: info.type.tensor_type.elem_type for info in infos}


def in_half(
    model: onnx.ModelProto, dtype: int, keep: frozenset[str] = frozenset()
) -> onnx.ModelProto:
    """A copy of an FP32 graph, Q/DQ or not, that computes in `dtype`, but for the nodes in `keep`.

    `dtype` is FLOAT16 or BFLOAT16. Float inputs, caches and cross keys and values are `dtype`; all
    other float outputs stay FP32.
    """
    return _Typing(model, dtype, keep).run()


def stays_float(node: onnx.NodeProto) -> bool:
    """Whether a node is FP32 in every precision."""
    name = str(node.name)
    return node.op_type in _FLOAT_ONLY or name in _LOGITS or name.endswith(RESIDUAL)


class _Typing:
    def __init__(self, model: onnx.ModelProto, dtype: int, keep: frozenset[str]) -> None:
        self.model, self.dtype, self.keep = model, dtype, keep
        self.types = value_types(model)
        self.constants = {constant.name: constant for constant in model.graph.initializer}
        self.nodes: list[onnx.NodeProto] = []
        self.made: dict[str, onnx.TensorProto] = {}
        self.casts: set[str] = set()
        self.consumers = {name: node for node in model.graph.node for name in node.input}

    def run(self) -> onnx.ModelProto:
        graph = self.model.graph
        for value in graph.input:
            if self.types[value.name] == FLOAT:
                self.types[value.name] = self.dtype
        outputs = {output.name for output in graph.output}
        for node in graph.node:
            self._node(node, outputs)
        result = rebuilt(self.model, self.nodes, self.made.values())
        for value in (*result.graph.input, *result.graph.output):
            value.type.tensor_type.elem_type = self.types[value.name]
        check_model(result)
        return result

    def _node(self, original: onnx.NodeProto, outputs: set[str]) -> None:
        node = onnx.NodeProto()
        node.CopyFrom(original)
        wanted = self._type_of(original)
        if node.op_type == "QuantizeLinear":
            wanted = self.types[node.input[0]]
        for index, name in enumerate(node.input):
            if name and self.types.get(name) in _FLOATS:
                node.input[index] = self._as(name, wanted)
            elif name in self.constants:
                self.made.setdefault(name, self.constants[name])
        self.nodes.append(node)
        for index, name in enumerate(original.output):
            if self.types.get(name) not in _FLOATS:
                continue
            self.types[name] = wanted
            if name not in outputs:
                continue
            due = self.dtype if name.startswith(_STATE) else FLOAT
            if due != wanted:
                self._rename_output(node, index, due)

    def _rename_output(self, node: onnx.NodeProto, index: int, due: int) -> None:
        """The graph's output is cast; what is inside goes on with the value as it was computed."""
        name = node.output[index]
        inner = f"{name}.inner"
        node.output[index] = inner
        self.types[inner] = self.types[name]
        self.types[name] = due
        self.nodes.append(helper.make_node("Cast", [inner], [name], name=f"{name}.cast", to=due))

    def _type_of(self, node: onnx.NodeProto) -> int:
        if node.op_type == "TensorScatter":
            return self.dtype  # the caches' type: only so it is written in place
        # What divides a product's input, see `quantization`, is kept with the product.
        name = str(node.name).removesuffix(MIGRATED)
        if name in self.keep or stays_float(node):
            return FLOAT
        if node.op_type == "DequantizeLinear":
            consumer = self.consumers.get(node.output[0])
            return self._type_of(consumer) if consumer else self.dtype
        if node.op_type in _FOLLOWING:
            moved = [name for name in node.input if self.types.get(name) in _FLOATS]
            values = [name for name in moved if name not in self.constants]
            return self.types[values[0]] if values else self.dtype
        return self.dtype

    def _as(self, name: str, wanted: int) -> str:
        """The value in the type that is wanted, cast once for all that want it."""
        if name in self.constants:
            return self._constant(name, wanted)
        if self.types[name] == wanted:
            return name
        cast = f"{name}.as_{TensorProto.DataType.Name(wanted).lower()}"
        if cast not in self.casts:
            self.casts.add(cast)
            self.nodes.append(helper.make_node("Cast", [name], [cast], name=cast, to=wanted))
        return cast

    def _constant(self, name: str, wanted: int) -> str:
        if wanted == FLOAT:
            self.made.setdefault(name, self.constants[name])
            return name
        half = f"{name}.half"
        if half not in self.made:
            self.made[half] = _rounded(self.constants[name], wanted, half)
        return half


def _rounded(constant: onnx.TensorProto, dtype: int, name: str) -> onnx.TensorProto:
    half = helper.tensor_dtype_to_np_dtype(dtype)

    def change(values: Array) -> Array:
        if dtype == FLOAT16:
            # What masks scores is finite and stays so; weights beyond the range are in `keep`.
            limit = np.finfo(np.float16).max
            values = np.where(np.isfinite(values), np.clip(values, -limit, limit), values)
        return values.astype(half)

    return make_constant(name, values_of(constant), change)
