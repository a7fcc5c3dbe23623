"""How a graph is computed in a precision: which nodes stay high, and why.

A recipe is made from what was observed on calibration texts, written beside the variant as
`precision.json`, and read again when TensorRT plans are built from the variant's graphs.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import onnx
from onnx import TensorProto

from engine.export.graphs.constants import largest_of, values_of
from engine.export.precision.calibration import Observation
from engine.export.precision.half_arithmetic import in_half, value_types
from engine.export.precision.half_weights import halve, matrices, restored
from engine.export.precision.quantization import quantize
from engine.export.precision.sensitivity import Rounding, measure_products

Precision = Literal["fp32", "fp16", "bf16", "int8"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)

RECIPE_FILE = "precision.json"

FP16_MAX = float(np.finfo(np.float16).max)
FP16_NORMAL = float(np.finfo(np.float16).smallest_normal)

HEADROOM = 4.0
"""Other texts than those of the calibration may make values that are so many times as large."""

MAX_ERROR = 0.1
"""The relative error of a product from which it is not rounded to INT8, see `sensitivity`."""


@dataclass(frozen=True)
class Recipe:
    """One graph in one precision.

    `float32` are nodes that a GPU computes in FP32 though the rest is 16-bit, `not_int8` products
    that could be INT8 and are not, each with the reason. `roundings` are those that are INT8;
    `errors` are the relative errors of all products that could be.
    """

    precision: Precision
    float32: dict[str, str] = field(default_factory=dict)
    not_int8: dict[str, str] = field(default_factory=dict)
    roundings: dict[str, Rounding] = field(default_factory=dict)
    errors: dict[str, float] = field(default_factory=dict)

    def serving(self, model: onnx.ModelProto) -> onnx.ModelProto:
        """The graph that ONNX Runtime opens on a processor: 16-bit weights, or Q/DQ nodes."""
        if self.precision == "int8":
            return quantize(model, self.roundings)
        if self.precision == "fp32":
            return model
        return halve(model, half_type(self.precision), frozenset(self.float32))

    def halved(self, model: onnx.ModelProto) -> frozenset[str]:
        """The constants that `serving` has in 16 bits."""
        if self.precision in ("fp32", "int8"):
            return frozenset()
        return matrices(model, frozenset(self.float32))

    def on_gpu(self, model: onnx.ModelProto) -> onnx.ModelProto:
        """The strongly typed graph that a GPU computes."""
        return typed_graph(self.serving(model), self.precision, self.float32)

    def without(self, names: Mapping[str, str]) -> "Recipe":
        """The recipe with products less in INT8, by name and reason."""
        left = {name: one for name, one in self.roundings.items() if name not in names}
        return replace(self, roundings=left, not_int8={**self.not_int8, **names})

    def with_float32(self, names: Mapping[str, str]) -> "Recipe":
        """The recipe with nodes more in FP32, by name and reason."""
        return replace(self, float32={**self.float32, **names})

    def worst(self, count: int) -> list[str]:
        """The products in INT8 that suffer most."""
        return sorted(self.roundings, key=lambda name: -self.roundings[name].error)[:count]


def half_type(precision: Precision) -> int:
    """The 16-bit type of a precision; what INT8 leaves is FP16."""
    return int(TensorProto.BFLOAT16 if precision == "bf16" else TensorProto.FLOAT16)


def typed_graph(
    serving: onnx.ModelProto, precision: Precision, float32: Mapping[str, str]
) -> onnx.ModelProto:
    """What `Recipe.serving` made, in the types that a GPU computes it in."""
    if precision == "fp32":
        return serving
    if precision != "int8":
        serving = restored(serving)
    return in_half(serving, half_type(precision), frozenset(float32))


def make_recipe(
    model: onnx.ModelProto,
    precision: Precision,
    seen: Observation,
    never_int8: frozenset[str] = frozenset(),
    given: Mapping[str, Rounding] | None = None,
) -> Recipe:
    """The recipe for a graph, from what was observed in it; `never_int8` are not asked about.

    With `given` roundings, which the checkpoint brings, INT8 is as they say.
    """
    recipe = Recipe(precision)
    if precision in ("fp16", "int8"):
        recipe = recipe.with_float32(out_of_range(model, seen))
    if precision != "int8":
        return recipe
    if given:
        errors = {name: one.error for name, one in given.items()}
        return replace(recipe, roundings=dict(given), errors=errors)
    measured = measure_products(model, seen)
    roundings = {name: one for name, one in measured.items() if name not in never_int8}
    recipe = replace(
        recipe, roundings=roundings, errors={name: one.error for name, one in roundings.items()}
    )
    return recipe.without(
        {
            name: f"INT8 would change its result by {one.error:.1%}"
            for name, one in roundings.items()
            if one.error > MAX_ERROR
        }
    )


def out_of_range(model: onnx.ModelProto, seen: Observation) -> dict[str, str]:
    """The nodes that FP16 can't hold the values of, with those that read these values.

    A value counts if it came within `HEADROOM` of FP16's largest number, or never got farther than
    that above its smallest normal one, below which digits are lost. Matrices count likewise, and
    with them their products' results: between 16-bit values TensorRT would round the matrix, too.
    """
    reasons = {name: _out_of_range(name, value) for name, value in seen.largest.items()}
    matrices = {
        constant.name: largest_of(values_of(constant))
        for constant in model.graph.initializer
        if constant.data_type == TensorProto.FLOAT and len(constant.dims) > 1
    }
    for node in model.graph.node:
        for name in node.input:
            reason = _out_of_range(name, matrices.get(name, 0.0))
            if reason:
                reasons[name] = reasons[node.output[0]] = reason
    return around(model, {name: reason for name, reason in reasons.items() if reason})


def _out_of_range(name: str, value: float) -> str:
    if value > FP16_MAX / HEADROOM:
        return f"{name} reaches {value:,.0f}"
    if 0 < value < FP16_NORMAL * HEADROOM:
        return f"{name} is nowhere above {value:.1g}"
    return ""


def around(model: onnx.ModelProto, values: Mapping[str, str]) -> dict[str, str]:
    """The nodes that make or read one of `values`, with the reason given for it.

    Those that turn values into tokens' numbers, shapes and the like are left out, and what writes
    caches, which are 16-bit in any case.
    """
    types = value_types(model)
    found: dict[str, str] = {}
    for node in model.graph.node:
        floats = any(types.get(name) == TensorProto.FLOAT for name in node.output)
        if not floats or node.op_type == "TensorScatter":
            continue
        for name in (*node.output, *node.input):
            if name in values:
                found.setdefault(node.name, values[name])
    return found


def write_recipes(recipes: Mapping[str, Recipe], folder: Path) -> None:
    """Writes the recipes, by the names of their graphs, into a variant's folder."""
    content = {name: asdict(recipe) for name, recipe in recipes.items()}
    for graph in content.values():
        for rounding in graph["roundings"].values():
            rounding["migrated"] = rounding.pop("divisors") is not None
            rounding["given"] = rounding.pop("columns") is not None
    text = json.dumps(content, indent=1, ensure_ascii=False)
    (folder / RECIPE_FILE).write_text(text + "\n", encoding="utf-8")


def read_recipes(folder: Path) -> dict[str, dict[str, Any]]:
    """What `write_recipes` wrote, as plain objects.

    Raises:
        FileNotFoundError: the variant was exported by an older version.
        ValueError: the file is damaged.

    """
    content = json.loads((folder / RECIPE_FILE).read_text(encoding="utf-8"))
    whole = isinstance(content, dict) and content
    if not whole or not all(_is_recipe(one) for one in content.values()):
        raise ValueError(f"{folder / RECIPE_FILE} holds no recipes.")
    return dict(content)


def _is_recipe(content: object) -> bool:
    parts = ("float32", "not_int8", "roundings", "errors")
    return isinstance(content, dict) and all(isinstance(content.get(one), dict) for one in parts)
