"""Static symmetric INT8: Q/DQ nodes around every product with a constant matrix.

Weights have one scale per output channel, activations one per tensor, both with zero point 0, the
form that ONNX Runtime and TensorRT share.  The activation scale is a constant, so no row's result
depends on its neighbours in the batch (dynamic quantization takes one scale for the whole batch).
Jacob et al. 2018 (arXiv:1712.05877); the clipping range minimises the squared error of the sample.
"""

import numpy as np
import onnx
from onnx import helper, numpy_helper

from engine.export.calibration import quantizable
from engine.export.graph import Array, check_model, without_constants

QMAX = 127


def activation_scale(magnitudes: Array) -> float:
    """The scale with the least mean squared error: rounding weighed against clipping."""
    largest = float(magnitudes.max())
    if largest == 0.0:
        return 1.0 / QMAX
    candidates = [largest * share for share in np.linspace(0.3, 1.0, 29)]
    errors = [_squared_error(magnitudes, limit / QMAX) for limit in candidates]
    return float(candidates[int(np.argmin(errors))] / QMAX)


def _squared_error(values: Array, scale: float) -> float:
    rounded = np.minimum(np.rint(values / scale), QMAX) * scale
    return float(np.mean((rounded - values) ** 2))


def quantize(
    model: onnx.ModelProto, magnitudes: dict[str, Array], keep: frozenset[str] = frozenset()
) -> onnx.ModelProto:
    """A copy of `model` whose constant products, but for the nodes in `keep`, are INT8.

    `magnitudes` are what `observe` returned for this graph.
    """
    result = without_constants(model)
    graph = result.graph
    weights = {constant.name: constant for constant in model.graph.initializer}
    chosen = {name: x for name, x in quantizable(model).items() if name not in keep}
    nodes: list[onnx.NodeProto] = []
    rounded: set[str] = set()
    for node in model.graph.node:
        if node.name in chosen:
            node = _copy(node)
            source, weight = node.input
            if source not in rounded:
                rounded.add(source)
                nodes.append(_round(graph, source, activation_scale(magnitudes[source])))
            nodes.append(_restore(source, to=f"{node.name}.input"))
            nodes.append(_round_weight(graph, weights[weight]))
            node.input[0], node.input[1] = f"{node.name}.input", f"{weight}.int8"
        nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)
    used = {name for node in nodes for name in node.input}
    graph.initializer.extend(c for name, c in weights.items() if name in used)
    check_model(result)
    return result


def _copy(node: onnx.NodeProto) -> onnx.NodeProto:
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    return copy


def _round(graph: onnx.GraphProto, source: str, scale: float) -> onnx.NodeProto:
    names = [f"{source}.scale", f"{source}.zero"]
    graph.initializer.append(numpy_helper.from_array(np.array(scale, np.float32), names[0]))
    graph.initializer.append(numpy_helper.from_array(np.array(0, np.int8), names[1]))
    rounded = f"{source}.q"
    return helper.make_node("QuantizeLinear", [source, *names], [rounded], name=rounded)


def _restore(source: str, to: str) -> onnx.NodeProto:
    """Each product has a node of its own here: ONNX Runtime fuses none that others share."""
    names = [f"{source}.q", f"{source}.scale", f"{source}.zero"]
    return helper.make_node("DequantizeLinear", names, [to], name=to)


def _round_weight(graph: onnx.GraphProto, weight: onnx.TensorProto) -> onnx.NodeProto:
    """`weight` is `[in, out]`; each of its columns has a scale."""
    array = numpy_helper.to_array(weight)
    scale = np.maximum(np.abs(array).max(axis=0), np.float32(1e-8)) / np.float32(QMAX)
    integers = np.clip(np.rint(array / scale), -QMAX, QMAX).astype(np.int8)
    name = weight.name
    parts = {".q": integers, ".scale": scale, ".zero": np.zeros(scale.shape, np.int8)}
    for suffix, value in parts.items():
        graph.initializer.append(numpy_helper.from_array(value, name + suffix))
    return helper.make_node(
        "DequantizeLinear", [name + s for s in parts], [f"{name}.int8"], name=f"{name}.int8", axis=1
    )
