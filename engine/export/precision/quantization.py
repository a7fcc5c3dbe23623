"""Static symmetric INT8: Q/DQ nodes around products with a constant matrix.

Weights have one scale per output channel, activations one per tensor, both with zero point 0, the
form that ONNX Runtime and TensorRT share.  The activation scale is a constant, so no row's result
depends on its neighbours in the batch (dynamic quantization takes one scale for the whole batch).
Jacob et al. 2018 (arXiv:1712.05877); `sensitivity` chooses the scales.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import helper

from engine.export.graphs.builder import MIGRATED, Array, check_model, rebuilt
from engine.export.graphs.constants import make_constant, values_of
from engine.export.precision.calibration import quantizable
from engine.export.precision.sensitivity import Rounding, round_matrix


def quantize(model: onnx.ModelProto, roundings: Mapping[str, Rounding]) -> onnx.ModelProto:
    """A copy of `model` in which the products named in `roundings` are INT8."""
    return _Quantizer(model, roundings).run()


class _Quantizer:
    def __init__(self, model: onnx.ModelProto, roundings: Mapping[str, Rounding]) -> None:
        self.model, self.roundings = model, roundings
        self.weights = {constant.name: constant for constant in model.graph.initializer}
        self.made: list[onnx.TensorProto] = []
        self.nodes: list[onnx.NodeProto] = []
        self.rounded: set[str] = set()

    def run(self) -> onnx.ModelProto:
        products = quantizable(self.model)
        for node in self.model.graph.node:
            if node.name in self.roundings and node.name in products:
                node = self._product(node, self.roundings[node.name])
            self.nodes.append(node)
        used = {name for node in self.nodes for name in node.input}
        kept = (constant for name, constant in self.weights.items() if name in used)
        result = rebuilt(self.model, self.nodes, [*self.made, *kept])
        check_model(result)
        return result

    def _product(self, original: onnx.NodeProto, rounding: Rounding) -> onnx.NodeProto:
        node = onnx.NodeProto()
        node.CopyFrom(original)
        source, weight = node.input
        if rounding.divisors is not None:
            source = self._divide(source, node.name, rounding.divisors)
        if source not in self.rounded:
            self.rounded.add(source)
            self._round(source, rounding.scale)
        node.input[0] = self._restore(source, to=f"{node.name}.input")
        node.input[1] = self._round_matrix(weight, rounding)
        return node

    def _constant(self, name: str, array: Array) -> str:
        self.made.append(make_constant(name, array))
        return name

    def _call(self, op: str, inputs: list[str], to: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(op, inputs, [to], name=to, **attributes))
        return to

    def _divide(self, source: str, name: str, divisors: Array) -> str:
        factors = self._constant(f"{name}.factors", (1 / divisors).astype(np.float32))
        return self._call("Mul", [source, factors], f"{name}{MIGRATED}")

    def _round(self, source: str, scale: float) -> None:
        names = [
            self._constant(f"{source}.scale", np.array(scale, np.float32)),
            self._constant(f"{source}.zero", np.array(0, np.int8)),
        ]
        self._call("QuantizeLinear", [source, *names], f"{source}.q")

    def _restore(self, source: str, to: str) -> str:
        """Each product has a node of its own here: ONNX Runtime fuses none that others share."""
        names = [f"{source}.q", f"{source}.scale", f"{source}.zero"]
        return self._call("DequantizeLinear", names, to)

    def _round_matrix(self, name: str, rounding: Rounding) -> str:
        """The matrix is `[in, out]`; each of its columns has a scale."""
        matrix = values_of(self.weights[name])
        integers, scale = round_matrix(matrix, rounding.divisors, rounding.columns)
        parts = {".q": integers, ".scale": scale, ".zero": np.zeros(scale.shape, np.int8)}
        names = [self._constant(name + suffix, value) for suffix, value in parts.items()]
        return self._call("DequantizeLinear", names, f"{name}.int8", axis=1)
