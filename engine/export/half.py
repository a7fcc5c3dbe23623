"""FP16 weights: every constant matrix is kept in half precision, and computed with in FP32.

ONNX Runtime's CPU kernels have no FP16 arithmetic; it turns the matrices back when it opens a
graph.  So on a CPU such a variant takes half the disk, and the memory and time of FP32.  Vectors,
among them the scales of norms and biases with -inf, stay FP32 (Micikevicius et al. 2018,
arXiv:1710.03740, keep FP32 masters for the same reason: small parts that do not bear rounding).
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from engine.export.gates import GateError
from engine.export.graph import Array, check_model, without_constants

FP16_MAX = float(np.finfo(np.float16).max)


def halve(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of `model` whose FP32 matrices are FP16.

    Raises:
        GateError: a matrix holds values beyond the range of FP16.

    """
    result = without_constants(model)
    graph = result.graph
    nodes: list[onnx.NodeProto] = []
    for constant in model.graph.initializer:
        if constant.data_type != TensorProto.FLOAT or len(constant.dims) < 2 or 1 in constant.dims:
            graph.initializer.append(constant)
            continue
        half = f"{constant.name}.half"
        graph.initializer.append(numpy_helper.from_array(_rounded(constant), half))
        nodes.append(
            helper.make_node("Cast", [half], [constant.name], constant.name, to=TensorProto.FLOAT)
        )
    nodes.extend(model.graph.node)
    del graph.node[:]
    graph.node.extend(nodes)
    check_model(result)
    return result


def _rounded(constant: onnx.TensorProto) -> Array:
    values = numpy_helper.to_array(constant)
    largest = float(np.abs(values).max())
    if largest > FP16_MAX:
        raise GateError(
            f"fp16: {constant.name} holds {largest:.0f}, more than FP16 can hold ({FP16_MAX:.0f}): "
            "leave fp16 out of --variants."
        )
    return values.astype(np.float16)
