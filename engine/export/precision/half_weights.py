"""16-bit weights: constant matrices are kept in half precision, and computed with in FP32.

ONNX Runtime's CPU kernels have no 16-bit arithmetic; it turns the matrices back when it opens a
graph, which then takes the memory of FP32.  Native code reads the same 16 bits as it multiplies.
Vectors, among them the scales of norms and biases with -inf, stay FP32 (Micikevicius et al. 2018,
arXiv:1710.03740, keep FP32 masters for the same reason: small parts that do not bear rounding).
What a GPU computes is another form of the same graph, see `half_arithmetic`.
"""

import onnx
from onnx import TensorProto, helper

from engine.export.graphs.builder import check_model, rebuilt
from engine.export.graphs.constants import make_constant, values_of

SUFFIX = ".half"


def halve(
    model: onnx.ModelProto, dtype: int, keep: frozenset[str] = frozenset()
) -> onnx.ModelProto:
    """A copy of `model` whose FP32 matrices are `dtype`, but for those of the nodes in `keep`."""
    halved = matrices(model, keep)
    half = helper.tensor_dtype_to_np_dtype(dtype)
    casts: list[onnx.NodeProto] = []
    constants: list[onnx.TensorProto] = []
    for constant in model.graph.initializer:
        if constant.name not in halved:
            constants.append(constant)
            continue
        name = constant.name + SUFFIX
        constants.append(make_constant(name, values_of(constant), lambda part: part.astype(half)))
        casts.append(
            helper.make_node("Cast", [name], [constant.name], constant.name, to=TensorProto.FLOAT)
        )
    result = rebuilt(model, [*casts, *model.graph.node], constants)
    check_model(result)
    return result


def matrices(model: onnx.ModelProto, keep: frozenset[str] = frozenset()) -> frozenset[str]:
    """The names of the constants that `halve` keeps in 16 bits."""
    kept = {name for node in model.graph.node if node.name in keep for name in node.input}
    return frozenset(
        constant.name
        for constant in model.graph.initializer
        if constant.data_type == TensorProto.FLOAT
        and len(constant.dims) > 1
        and 1 not in constant.dims
        and constant.name not in kept
    )


def restored(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of what `halve` made, with FP32 matrices again, of the rounded values."""
    constants = {constant.name: constant for constant in model.graph.initializer}
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        if node.op_type == "Cast" and node.input[0] in constants:
            name, values = node.output[0], values_of(constants.pop(node.input[0]))
            constants[name] = make_constant(name, values, lambda part: part.astype("float32"))
        else:
            nodes.append(node)
    return rebuilt(model, nodes, constants.values())
