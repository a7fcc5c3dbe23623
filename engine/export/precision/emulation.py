"""What 16-bit arithmetic computes, on a processor that has none.

Each value of a typed graph that is 16-bit is computed in FP32 here and then rounded to 16 bits:
what a tensor core does, which adds in FP32 and writes 16 bits (NVIDIA, "Train With Mixed
Precision").  Overflow becomes infinite as it would there.
"""

from itertools import chain

import onnx
from onnx import TensorProto, helper

from engine.export.graphs.builder import check_model, rebuilt
from engine.export.graphs.constants import make_constant, values_of
from engine.export.precision.half_arithmetic import value_types

FLOAT = TensorProto.FLOAT
_HALVES = {TensorProto.FLOAT16, TensorProto.BFLOAT16}


def emulated(typed: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of a graph that `half_arithmetic` made, which ONNX Runtime runs on any processor.

    Its inputs and outputs are FP32 where those of `half_arithmetic` are 16-bit.
    """
    types = value_types(typed)
    constants = (
        make_constant(each.name, values_of(each), lambda part: part.astype("float32"))
        if each.data_type in _HALVES
        else each
        for each in typed.graph.initializer
    )
    nodes = chain.from_iterable(_rounding(node, types) for node in typed.graph.node)
    result = rebuilt(typed, nodes, constants)
    for value in (*result.graph.input, *result.graph.output):
        if value.type.tensor_type.elem_type in _HALVES:
            value.type.tensor_type.elem_type = FLOAT
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
