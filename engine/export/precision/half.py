"""16-bit weights: constant matrices are kept in half precision, and computed with in FP32.

ONNX Runtime's CPU kernels have no 16-bit arithmetic; it turns the matrices back when it opens a
graph.  So on a CPU such a variant takes half the disk, and the memory and time of FP32.  Vectors,
among them the scales of norms and biases with -inf, stay FP32 (Micikevicius et al. 2018,
arXiv:1710.03740, keep FP32 masters for the same reason: small parts that do not bear rounding).
What a GPU computes is another form of the same graph, see `typed`.
"""

import onnx
from onnx import TensorProto, helper

from engine.export.graphs.builder import check_model, without_constants
from engine.export.graphs.constants import make_constant, values_of

SUFFIX = ".half"


def halve(
    model: onnx.ModelProto, dtype: int, keep: frozenset[str] = frozenset()
) -> onnx.ModelProto:
    """A copy of `model` whose FP32 matrices are `dtype`, but for those of the nodes in `keep`."""
    result = without_constants(model)
    graph = result.graph
    kept = {name for node in model.graph.node if node.name in keep for name in node.input}
    half = helper.tensor_dtype_to_np_dtype(dtype)
    nodes: list[onnx.NodeProto] = []
    for constant in model.graph.initializer:
        vector = len(constant.dims) < 2 or 1 in constant.dims
        if constant.data_type != TensorProto.FLOAT or vector or constant.name in kept:
            graph.initializer.append(constant)
            continue
        name = constant.name + SUFFIX
        rounded = make_constant(name, values_of(constant), lambda part: part.astype(half))
        graph.initializer.append(rounded)
        nodes.append(
            helper.make_node("Cast", [name], [constant.name], constant.name, to=TensorProto.FLOAT)
        )
    nodes.extend(model.graph.node)
    del graph.node[:]
    graph.node.extend(nodes)
    check_model(result)
    return result


def restored(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of what `halve` made, with FP32 matrices again, of the rounded values."""
    constants = {constant.name: constant for constant in model.graph.initializer}
    result = without_constants(model)
    graph = result.graph
    del graph.node[:]
    for node in model.graph.node:
        if node.op_type == "Cast" and node.input[0] in constants:
            values = values_of(constants.pop(node.input[0]))
            graph.initializer.append(
                make_constant(node.output[0], values, lambda part: part.astype("float32"))
            )
        else:
            graph.node.append(node)
    graph.initializer.extend(constants.values())
    return result
