"""What 16-bit arithmetic computes, on a processor that has none.

Each value of a typed graph that is 16-bit is computed in FP32 here and then rounded to 16 bits:
what a tensor core does, which adds in FP32 and writes 16 bits (NVIDIA, "Train With Mixed
Precision").  Overflow becomes infinite as it would there.
"""

import onnx
from onnx import TensorProto, helper

from engine.export.graphs.builder import check_model, without_constants
from engine.export.graphs.constants import make_constant, values_of
from engine.export.precision.typed import value_types

FLOAT = TensorProto.FLOAT
_HALVES = {TensorProto.FLOAT16, TensorProto.BFLOAT16}


def emulated(typed: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of a graph that `typed.in_half` made, which ONNX Runtime runs on any processor.

    Its inputs and outputs are FP32 where those of `typed` are 16-bit.
    """
    types = value_types(typed)
    result = without_constants(typed)
    graph = result.graph
    for constant in typed.graph.initializer:
        if constant.data_type in _HALVES:
            constant = make_constant(
                constant.name, values_of(constant), lambda part: part.astype("float32")
            )
        graph.initializer.append(constant)
    for value in (*graph.input, *graph.output):
        if value.type.tensor_type.elem_type in _HALVES:
            value.type.tensor_type.elem_type = FLOAT
    del graph.node[:]
    for node in typed.graph.node:
        graph.node.extend(_rounding(node, types))
    check_model(result)
    return result


def _rounding(original: onnx.NodeProto, types: dict[str, int]) -> list[onnx.NodeProto]:
    node = onnx.NodeProto()
    node.CopyFrom(original)
    if node.op_type == "Cast" and types[node.output[0]] in _HALVES | {FLOAT}:
        node = helper.make_node("Identity", node.input, node.output, node.name)
    after = []
    for index, name in enumerate(node.output):
        half = types.get(name)
        if half not in _HALVES:
            continue
        node.output[index] = f"{name}.exact"
        names = [node.output[index], f"{name}.rounded", name]
        after.append(helper.make_node("Cast", names[:1], names[1:2], names[1], to=half))
        after.append(helper.make_node("Cast", names[1:2], [name], f"{name}.widened", to=FLOAT))
    return [node, *after]
