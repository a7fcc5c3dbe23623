"""What a builder says about the layers of the engine that it has built.

TensorRT for RTX writes the fused layers to its log when profiling is DETAILED; NVIDIA's `tensorrt`
tells the same, in the same words, through its engine inspector.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

_LAYER = re.compile(
    r"Name: (?P<name>.*?), LayerType: (?P<kind>\w+), Inputs: \[(?P<inputs>.*?)\]"
    r"(?:, Constants: \[(?P<constants>.*?)\])?, Outputs: \[(?P<outputs>.*)\]"
)
_TENSOR = re.compile(
    r"Name: (?P<name>[^,]+), Dimensions: \[(?P<dims>[^\]]*)\].*?(?:Format/)?Datatype: (?P<type>\w+)"
)
_ONNX = re.compile(r"\[ONNX Layer: ([^\]]+)\]")


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
        return self.kind == "gemm" or "Fc" in self.name or "mha" in self.name

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
    lines = (line for message in messages for line in message.splitlines())
    halves = (line.strip().partition(", TacticName:") for line in lines)
    found = ((_LAYER.fullmatch(head), tail) for head, _, tail in halves)
    return [_layer(match, tail) for match, tail in found if match]


def _layer(match: re.Match[str], tail: str) -> Layer:
    return Layer(
        match["name"],
        match["kind"],
        _tensors(match["inputs"]),
        _tensors(match["constants"] or ""),
        _tensors(match["outputs"]),
        frozenset(_ONNX.findall(tail)),
    )


def _tensors(text: str) -> tuple[Tensor, ...]:
    return tuple(
        Tensor(match["name"], _dims(match["dims"]), match["type"])
        for match in _TENSOR.finditer(text)
    )


def _dims(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(",") if part.strip())
