"""What a builder says about the layers of the engine that it has built.

TensorRT for RTX writes the fused layers to its log when profiling is DETAILED, one a line:

    Name: up, LayerType: gemm, Inputs: [ { Name: x, Dimensions: [-1,256], Format/Datatype: Half }],
    Constants: [...], Outputs: [...], TacticName: t, StreamId: 0, Metadata: [ONNX Layer: up]

NVIDIA's `tensorrt` writes such lines, too, with the fields of a layer's kind between the outputs
and the tactic, and types such as "Row major linear FP16 format"; it tells the same as JSON through
its engine inspector.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

_LAYER = re.compile(r"(?:Layer\(.*?\): )?Name: (?P<name>.*?), LayerType: (?P<kind>\w+), ")
_TENSOR = re.compile(r"Name: (?P<name>[^,]+),.*?Dimensions: \[(?P<dims>[^\]]*)\](?P<type>.*)")
_TYPE = re.compile(r"Datatype: ([^,}]*)")
_WEIGHTS = re.compile(r"Weights: \{\s*Type: (\w+)")
_ONNX = re.compile(r"\[ONNX Layer: ([^\]]+)\]")

_TYPES = {"FP32": "Float", "FP16": "Half", "BF16": "BFloat16", "INT8": "Int8"}
"""The inspector's other names of types, which stand within what it says about formats."""

_PRODUCTS = re.compile(r"gemm|matrixmultiply|fullyconnected|conv", re.IGNORECASE)
"""What the kinds of layers say that multiply matrices."""


@dataclass(frozen=True)
class Tensor:
    """A tensor of a layer; a dimension of -1 is dynamic."""

    name: str
    dims: tuple[int, ...]
    dtype: str

    @property
    def is_matrix(self) -> bool:
        """Whether two dimensions or more are not 1."""
        return sum(size != 1 for size in self.dims) > 1


@dataclass(frozen=True)
class Layer:
    """A layer of an engine; `sources` are the nodes of the ONNX graph that it computes."""

    name: str
    kind: str
    inputs: tuple[Tensor, ...]
    constants: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    sources: frozenset[str]

    @property
    def weights(self) -> tuple[Tensor, ...]:
        """The constants that a product may multiply with."""
        return tuple(constant for constant in self.constants if constant.is_matrix)

    @property
    def is_product(self) -> bool:
        """Whether it multiplies matrices: a product, one with something fused, or attention."""
        return bool(_PRODUCTS.search(self.kind)) or "Fc" in self.name or "mha" in self.name

    @property
    def types(self) -> set[str]:
        """The types of what it multiplies: its weights, or of attention its inputs.

        What is fused with a product, such as a residual sum, reads inputs of other types.
        """
        return {one.dtype for one in self.weights or self.inputs if one.is_matrix}

    @property
    def is_int8(self) -> bool:
        """Whether it multiplies INT8 weights with INT8 values."""
        read = {one.dtype for one in self.inputs if one.is_matrix}
        return self.is_product and bool(self.weights) and self.types == {"Int8"} <= read


def read_layers(messages: Iterable[str]) -> list[Layer]:
    """The layers that are told of in a log, in order."""
    lines = (line.strip() for message in messages for line in message.splitlines())
    return [_from_line(match, line) for line in lines if (match := _LAYER.match(line))]


def read_inspected(text: str) -> list[Layer]:
    """The layers of what the engine inspector tells as JSON; none where it gives only names."""
    try:
        told = json.loads(text, strict=False)["Layers"]  # metadata hold control characters
    except (ValueError, KeyError, TypeError):
        return []
    return [_from_json(one) for one in told if isinstance(one, dict)]


def _from_line(match: re.Match[str], line: str) -> Layer:
    fields = {name: _bracketed(line, f", {name}: [") for name in ("Constants", "Outputs")}
    inputs = _bracketed(line, "Inputs: [", match.end())
    weights = _WEIGHTS.search(line)
    return Layer(
        match["name"],
        match["kind"],
        _tensors(inputs),
        _tensors(fields["Constants"]) + _weights(weights[1] if weights else ""),
        _tensors(fields["Outputs"]),
        frozenset(_ONNX.findall(line)),
    )


def _bracketed(line: str, start: str, after: int = 0) -> str:
    """What stands between `start`, which ends in a bracket, and the bracket that closes it."""
    begin = line.find(start, after)
    if begin < 0:
        return ""
    begin += len(start)
    depth = 1
    for end in range(begin, len(line)):
        depth += {"[": 1, "]": -1}.get(line[end], 0)
        if not depth:
            return line[begin:end]
    return line[begin:]


def _tensors(text: str) -> tuple[Tensor, ...]:
    found = (_TENSOR.search(part) for part in re.split(r"\}\s*,?", text))
    return tuple(
        Tensor(match["name"], _dims(match["dims"]), _type(" ".join(_TYPE.findall(match["type"]))))
        for match in found
        if match
    )


def _from_json(told: Mapping[str, Any]) -> Layer:
    weights = told.get("Weights")
    return Layer(
        str(told.get("Name", "")),
        str(told.get("LayerType", "")),
        _tensors_of(told, "Inputs"),
        _tensors_of(told, "Constants")
        + _weights(str(weights.get("Type", "")) if isinstance(weights, dict) else ""),
        _tensors_of(told, "Outputs"),
        frozenset(_ONNX.findall(str(told.get("Metadata", "")))),
    )


def _tensors_of(told: Mapping[str, Any], field: str) -> tuple[Tensor, ...]:
    return tuple(
        Tensor(
            str(one.get("Name", "")),
            tuple(one.get("Dimensions", ())),
            _type(str(one.get("Format/Datatype", one.get("Datatype", "")))),
        )
        for one in told.get(field) or ()
    )


def _weights(kind: str) -> tuple[Tensor, ...]:
    """The matrix of a layer that names only its type."""
    return (Tensor("weights", (-1, -1), _type(kind)),) if kind else ()


def _type(text: str) -> str:
    """One name for a type: "Half", too, of "Row major linear FP16 format"."""
    words = text.split()
    known = (_TYPES[word.upper()] for word in words if word.upper() in _TYPES)
    return next(known, words[0] if words else "")


def _dims(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(",") if part.strip())
