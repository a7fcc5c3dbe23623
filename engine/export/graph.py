"""A small builder of ONNX graphs: each operator call returns the name of its output."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

OPSET = 24
IR_VERSION = 11

Array = NDArray[Any]


class GraphBuilder:
    """Collects nodes, constants, inputs and outputs of one graph of opset `OPSET`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []

    def input(self, name: str, dtype: int, shape: Sequence[int | str]) -> str:
        """Declares an input; a string is a dynamic dimension."""
        self._inputs.append(helper.make_tensor_value_info(name, dtype, shape))
        return name

    def output(self, name: str, dtype: int, shape: Sequence[int | str]) -> None:
        """Declares the value of that name an output."""
        self._outputs.append(helper.make_tensor_value_info(name, dtype, shape))

    def constant(self, name: str, array: Array) -> str:
        """Adds an initializer; a second one of the same name must be the same."""
        if name not in self._constants:
            self._constants[name] = numpy_helper.from_array(np.ascontiguousarray(array), name)
        return name

    def integers(self, *values: int) -> str:
        """A one-dimensional INT64 constant, for shapes and axes."""
        name = "i64_" + "_".join(str(value).replace("-", "m") for value in values)
        return self.constant(name, np.array(values, dtype=np.int64))

    def call(self, op: str, *inputs: str, to: str = "", **attributes: Any) -> str:
        """Adds a node with one output; `to` names it (default: a fresh name)."""
        return self.call_many(op, list(inputs), [to or f"{op}_{len(self._nodes)}"], **attributes)[0]

    def call_many(
        self, op: str, inputs: list[str], outputs: list[str], **attributes: Any
    ) -> list[str]:
        """Adds a node with the named outputs."""
        self._nodes.append(helper.make_node(op, inputs, outputs, name=outputs[0], **attributes))
        return outputs

    def build(self) -> onnx.ModelProto:
        """The checked model."""
        graph = helper.make_graph(
            self._nodes, self.name, self._inputs, self._outputs, list(self._constants.values())
        )
        opsets = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
        onnx.checker.check_model(model)
        return model


FLOAT = TensorProto.FLOAT
INT64 = TensorProto.INT64
