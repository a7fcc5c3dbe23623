"""A small builder of ONNX graphs: each operator call returns the name of its output."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from engine.export.graphs.constants import (
    Change,
    bytes_of,
    digest_of,
    in_memory,
    make_constant,
    size_of,
)

OPSET = 24
IR_VERSION = 11

EXTERNAL_LIMIT = 64_000_000
"""Bytes of constants over which a model's big ones are kept in a file of their own.

Protocol buffers end at 2 GiB, and are copied whole when they are written and read. ONNX Runtime
maps the file.
"""

EXTERNAL_SIZE = 1 << 10
"""Bytes from which a constant of such a model is a big one."""

ALIGNMENT = 64
"""Constants begin at multiples of this in their file."""

RESIDUAL = ".residual"
"""How the names of residual sums end."""

MIGRATED = ".migrated"
"""How the names of nodes end that move the scale of a product's input to its matrix."""

Array = NDArray[Any]


class GraphBuilder:
    """Collects nodes, constants, inputs and outputs of one graph of opset `OPSET`."""

    def __init__(self, name: str) -> None:
        # One message from the start: each copy of a large model's constants would be felt.
        self._model = onnx.ModelProto(
            ir_version=IR_VERSION,
            opset_import=[helper.make_opsetid("", OPSET)],
            graph=onnx.GraphProto(name=name),
        )
        self._graph = self._model.graph
        self._constants: set[str] = set()
        self._part = ""

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Inside, fresh names begin with `name`: what is said of a value tells where it is."""
        before, self._part = self._part, f"{name}."
        try:
            yield
        finally:
            self._part = before

    def input(self, name: str, dtype: int, shape: Sequence[int | str]) -> str:
        """Declares an input; a string is a dynamic dimension."""
        self._graph.input.append(helper.make_tensor_value_info(name, dtype, shape))
        return name

    def output(self, name: str, dtype: int, shape: Sequence[int | str]) -> None:
        """Declares the value of that name an output."""
        self._graph.output.append(helper.make_tensor_value_info(name, dtype, shape))

    def constant(self, name: str, array: Array, change: Change | None = None) -> str:
        """Adds an initializer, see `make_constant`; a second one of the name must be the same."""
        if name not in self._constants:
            self._constants.add(name)
            self._graph.initializer.append(make_constant(name, array, change))
        return name

    def integers(self, *values: int) -> str:
        """A one-dimensional INT64 constant, for shapes and axes."""
        name = "i64_" + "_".join(str(value).replace("-", "m") for value in values)
        return self.constant(name, np.array(values, dtype=np.int64))

    def call(self, op: str, *inputs: str, to: str = "", **attributes: Any) -> str:
        """Adds a node with one output; `to` names it (default: a fresh name, see `part`)."""
        name = to or f"{self._part}{op}_{len(self._graph.node)}"
        return self.call_many(op, list(inputs), [name], **attributes)[0]

    def call_many(
        self, op: str, inputs: list[str], outputs: list[str], **attributes: Any
    ) -> list[str]:
        """Adds a node with the named outputs."""
        self._graph.node.append(
            helper.make_node(op, inputs, outputs, name=outputs[0], **attributes)
        )
        return outputs

    def build(self) -> onnx.ModelProto:
        """The checked model."""
        check_model(self._model)
        return self._model


def check_model(model: onnx.ModelProto) -> None:
    """Checks a model of any size: to the checker, constants are inputs of their type and shape.

    Raises:
        onnx.checker.ValidationError: the graph is not valid.

    """
    skeleton = without_constants(model)
    skeleton.graph.input.extend(
        helper.make_tensor_value_info(constant.name, constant.data_type, constant.dims)
        for constant in model.graph.initializer
    )
    onnx.checker.check_model(skeleton)


def without_constants(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of `model` with no initializer; only their values make a model large."""
    return rebuilt(model, model.graph.node, ())


def rebuilt(
    model: onnx.ModelProto,
    nodes: Iterable[onnx.NodeProto],
    constants: Iterable[onnx.TensorProto],
) -> onnx.ModelProto:
    """A graph with the inputs and outputs of `model` and other contents."""
    result = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import)
    graph = result.graph
    graph.name = model.graph.name
    graph.input.extend(model.graph.input)
    graph.output.extend(model.graph.output)
    graph.node.extend(nodes)
    graph.initializer.extend(constants)
    return result


def is_large(model: onnx.ModelProto) -> bool:
    """Whether a model's big constants are better kept beside it."""
    return sum(map(size_of, model.graph.initializer)) > EXTERNAL_LIMIT


def _digests(model: onnx.ModelProto) -> dict[str, bytes]:
    """The SHA-256 of each big constant, by its name."""
    return {
        constant.name: digest_of(constant)
        for constant in model.graph.initializer
        if size_of(constant) >= EXTERNAL_SIZE
    }


def _repeats_itself(model: onnx.ModelProto, digests: dict[str, bytes]) -> bool:
    """Whether a big matrix stands in a model more than once: layers that share parameters."""
    matrices = [
        digests[constant.name]
        for constant in model.graph.initializer
        if constant.name in digests and 1 not in constant.dims[-2:]
    ]
    return len(set(matrices)) < len(matrices)


def save_model(model: onnx.ModelProto, path: Path) -> None:
    """Writes `model` to `path`, and the big constants of some to `<path>.data` beside it.

    These are models that are large, or repeat themselves: what is equal is written once there, and
    keeps a name for each layer (ONNX Runtime turns a matrix to unsigned numbers by its name). ONNX
    Runtime and TensorRT find that file by its name when they open `path`.
    """
    data = path.with_name(f"{path.name}.data")
    data.unlink(missing_ok=True)
    digests = _digests(model)
    slim = without_constants(model)
    if not is_large(model) and not _repeats_itself(model, digests):
        slim.graph.initializer.extend(map(in_memory, model.graph.initializer))
        path.write_bytes(slim.SerializeToString())
        return
    offsets: dict[bytes, int] = {}
    with data.open("wb") as stream:
        for constant in model.graph.initializer:
            if constant.name not in digests:
                slim.graph.initializer.append(constant)
                continue
            digest = digests[constant.name]
            if digest not in offsets:
                stream.write(bytes(-stream.tell() % ALIGNMENT))
                offsets[digest] = stream.tell()
                stream.writelines(bytes_of(constant))
            stub = slim.graph.initializer.add(
                name=constant.name,
                data_type=constant.data_type,
                dims=constant.dims,
                data_location=TensorProto.EXTERNAL,
            )
            place = {
                "location": data.name,
                "offset": offsets[digest],
                "length": size_of(constant),
            }
            for key, value in place.items():
                stub.external_data.add(key=key, value=str(value))
    path.write_bytes(slim.SerializeToString())


FLOAT = TensorProto.FLOAT
INT64 = TensorProto.INT64
