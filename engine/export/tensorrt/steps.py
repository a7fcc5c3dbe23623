"""The decoder steps that TensorRT gets, from the graph that ONNX Runtime runs.

Masks follow on the GPU from positions and lengths, and a row reads the first positions of its
caches, not all that there is room for.  There are two steps: in one all rows take the most probable
token; the other gives what a choice needs, which costs a TopK of the vocabulary and, for the
weights of cross-attention, that attention is not fused into one kernel.
"""

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import helper

from engine.export.graphs.builder import FLOAT, INT64, Array, check_model, rebuilt
from engine.export.graphs.constants import make_constant
from engine.runtime.decoding.candidates import MOST_CANDIDATES
from engine.runtime.sessions.tensorrt.shapes import CACHE_POSITIONS, SOURCE_POSITIONS

MASKED = -30_000.0
"""What is added to scores where nothing is attended to: FP16 holds it, and scores are smaller."""

_GREEDY = ("next_ids", "log_probs", "present_")
_MASKS = ("self_mask", "cross_mask")


def step_graph(model: onnx.ModelProto, *, chooses: bool) -> onnx.ModelProto:
    """The decoder step of `engine.export.graphs.transformer`, FP32 or Q/DQ, for TensorRT.

    B rows, R cached and S source positions that are read, C candidates. In place of masks it takes
    `source_lengths [B]`, and `cache_positions [R]` and `source_positions [S]`, which are 0, 1, ...,
    all INT64. A step that `chooses` gives `candidate_ids [B,C]` INT64, `candidate_logits [B,C]`,
    best first, beside all that the graph gives; the other one tokens and log-probabilities.
    """
    return _StepGraph(model).graph(chooses=chooses)


class _StepGraph:
    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self.nodes: list[onnx.NodeProto] = []
        self.constants = list(model.graph.initializer)

    def graph(self, *, chooses: bool) -> onnx.ModelProto:
        self._masks()
        self._body()
        outputs = list(self.model.graph.output)
        if chooses:
            outputs += self._candidates(outputs)
        else:
            outputs = [one for one in outputs if one.name.startswith(_GREEDY)]
        nodes = _needed(self.nodes, {one.name for one in outputs})
        read = {name for node in nodes for name in node.input}
        used = [one for one in self.constants if one.name in read]
        result = rebuilt(self.model, nodes, used)
        del result.graph.input[:], result.graph.output[:]
        result.graph.input.extend(self._inputs())
        result.graph.output.extend(outputs)
        check_model(result)
        return result

    def _masks(self) -> None:
        nothing = self._constant("seen", np.array(0, np.float32))
        masked = self._constant("masked", np.array(MASKED, np.float32))
        axes = self._constant("mask_axes", np.array([1, 2, 3]))
        kinds = (
            ("self_mask", CACHE_POSITIONS, "LessOrEqual", "positions"),
            ("cross_mask", SOURCE_POSITIONS, "Less", "source_lengths"),
        )
        for mask, places, comparison, lengths in kinds:
            column = self._call("Unsqueeze", [lengths, axes], f"{mask}.lengths")
            visible = self._call(comparison, [places, column], f"{mask}.visible")
            self._call("Where", [visible, nothing, masked], mask)

    def _body(self) -> None:
        """The graph's own nodes; what reads a cache reads the start of it."""
        first = self._constant("first_position", np.array([0]))
        axis = self._constant("position_axis", np.array([2]))
        end = self._call("Shape", [CACHE_POSITIONS], "cached")
        starts: dict[str, str] = {}
        for original in self.model.graph.node:
            node = onnx.NodeProto()
            node.CopyFrom(original)
            for index, name in enumerate(original.input):
                node.input[index] = starts.get(name, name)
            self.nodes.append(node)
            if node.op_type == "TensorScatter":
                cache = node.output[0]
                starts[cache] = self._call("Slice", [cache, first, end, axis], f"{cache}.read")

    def _candidates(self, outputs: Sequence[onnx.ValueInfoProto]) -> list[onnx.ValueInfoProto]:
        logits = next(one for one in outputs if one.name == "logits")
        vocabulary = logits.type.tensor_type.shape.dim[1].dim_value
        count = min(MOST_CANDIDATES, vocabulary)
        most = self._constant("candidate_count", np.array([count]))
        names = {"candidate_logits": FLOAT, "candidate_ids": INT64}
        node = helper.make_node("TopK", ["logits", most], list(names), name="candidates", axis=-1)
        self.nodes.append(node)
        return [
            helper.make_tensor_value_info(name, kind, ["B", count]) for name, kind in names.items()
        ]

    def _inputs(self) -> list[onnx.ValueInfoProto]:
        kept = [one for one in self.model.graph.input if one.name not in _MASKS]
        new = {"source_lengths": "B", CACHE_POSITIONS: "R", SOURCE_POSITIONS: "S"}
        infos = [helper.make_tensor_value_info(name, INT64, [size]) for name, size in new.items()]
        return [*kept, *infos]

    def _constant(self, name: str, values: Array) -> str:
        self.constants.append(make_constant(name, values))
        return name

    def _call(self, op: str, inputs: Sequence[str], output: str) -> str:
        self.nodes.append(helper.make_node(op, inputs, [output], name=output))
        return output


def _needed(nodes: Sequence[onnx.NodeProto], outputs: set[str]) -> list[onnx.NodeProto]:
    """The nodes that `outputs` depend on."""
    wanted, kept = set(outputs), []
    for node in reversed(nodes):
        if wanted.intersection(node.output):
            wanted.update(node.input)
            kept.append(node)
    return kept[::-1]
