"""The strongly typed graphs that a variant's plans are built from."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import onnx

from engine.contract.manifest import Manifest
from engine.export.graphs.builder import check_model, save_model
from engine.export.precision.half_arithmetic import stays_float, value_types
from engine.export.precision.recipes import read_recipes, typed_graph
from engine.export.tensorrt.inspection import Expected
from engine.export.tensorrt.steps import step_graph
from engine.runtime.sessions.caches import padded
from engine.runtime.sessions.tensorrt.plan import CHOICE_PLAN, STEP_PLAN, PlanError

PRODUCTS = ("MatMul", "Gemm")

_STEPS = {STEP_PLAN: False, CHOICE_PLAN: True}
"""The plans that are built from the decoder step's graph, and whether they choose."""


class TypedGraphs:
    """The graphs `typed` of a variant by the names of their plans, written to a folder.

    `sources` are the names of the variant's graphs that they come from.
    """

    def __init__(self, files: Path, manifest: Manifest, folder: Path) -> None:
        self.manifest, self.files = manifest, files
        self.recipes = _recipes(files)
        self.cache_length = padded(manifest.max_target_tokens) if manifest.kind == "seq2seq" else 0
        self.typed: dict[str, Path] = {}
        self.sources: dict[str, str] = {}
        self.float32: dict[str, set[str]] = {}
        self.kept: dict[str, set[str]] = {}
        for name in self.recipes:
            model, plan = _load(files / name), f"{Path(name).stem}.plan"
            if plan != STEP_PLAN:
                self._add(plan, name, model, folder)
                continue
            for step, chooses in _STEPS.items():
                self._add(step, name, step_graph(model, chooses=chooses), folder)

    def _add(self, plan: str, name: str, model: onnx.ModelProto, folder: Path) -> None:
        recipe = self.recipes[name]
        precision: Any = self.manifest.precision
        typed = typed_graph(model, precision, recipe["float32"])
        asked = {node.name for node in model.graph.node if stays_float(node)}
        self.float32[plan] = asked | recipe["float32"].keys()
        products = {node.name for node in model.graph.node if node.op_type in PRODUCTS}
        self.kept[plan] = products & recipe["float32"].keys()
        _require_typed(typed, precision, self.float32[plan], plan)
        fix_length(typed, self.cache_length)
        self.sources[plan], self.typed[plan] = name, folder / f"{Path(plan).stem}.onnx"
        save_model(typed, self.typed[plan])

    def expected(self, plan: str, inputs: Sequence[str]) -> Expected:
        """What the engine of a graph has to be."""
        caches = [(one, one.replace("past_", "present_")) for one in inputs if "past_" in one]
        float32 = None if self.manifest.precision == "fp32" else self.float32[plan]
        int8 = self.recipes[self.sources[plan]]["roundings"].keys()
        return Expected(inputs, caches, float32, self.kept[plan] - int8, int8)


def _load(path: Path) -> onnx.ModelProto:
    """Reads a graph.

    Raises:
        PlanError: it is missing or damaged.

    """
    try:
        model = onnx.load(path)
        check_model(model)
    except Exception as error:  # protobuf, the checker and the file system each have their own
        reason = (str(error).strip().splitlines() or ["it is empty"])[0]
        raise PlanError(
            f"{path} is no whole ONNX graph ({reason[:120]}): export the variant again."
        ) from error
    return model


def _recipes(files: Path) -> dict[str, dict[str, Any]]:
    try:
        return read_recipes(files)
    except (OSError, ValueError) as error:
        raise PlanError(
            f"{files.parent} does not tell how it was rounded ({error}): export it again."
        ) from error


def fix_length(model: onnx.ModelProto, length: int) -> None:
    """Gives the caches of a decoder step a static length, which TensorRT asks for."""
    for value in (*model.graph.input, *model.graph.output):
        for dimension in value.type.tensor_type.shape.dim:
            if dimension.dim_param == "L":
                dimension.dim_value = length


def _require_typed(
    model: onnx.ModelProto, precision: str, float32: Collection[str], name: str
) -> None:
    """Refuses a graph with a product in FP32 that nobody asked for."""
    if precision == "fp32":
        return
    types = value_types(model)
    for node in model.graph.node:
        product = node.op_type in PRODUCTS and node.name not in float32
        if product and types[node.output[0]] == onnx.TensorProto.FLOAT:
            raise PlanError(f"{name}: {node.name} would be FP32, and nobody asked for it.")
