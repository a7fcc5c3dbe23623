"""What an engine has to be before its plan is written, read from the list of its layers."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from engine.export.tensorrt.layers import Layer, Tensor
from engine.runtime.sessions.tensorrt.plan import PlanError


@dataclass(frozen=True)
class Expected:
    """What was asked for: `inputs` of the graph, `caches` (past, present) to be written in place.

    `float32` are the nodes that may be FP32, None if all may; `kept` the products that have to be,
    `int8` those that have to be INT8.
    """

    inputs: Sequence[str]
    caches: Sequence[tuple[str, str]]
    float32: Collection[str] | None
    kept: Collection[str]
    int8: Collection[str]


def inspect(name: str, layers: Sequence[Layer], expected: Expected) -> dict[str, int]:
    """Checks an engine; returns how many of its products are computed in each type.

    Raises:
        PlanError: it is not what was asked for; the message names the input or the layer.

    """
    if not layers:
        raise PlanError(f"{name}: TensorRT tells no layers, so the plan can't be checked.")
    _require_inputs(name, layers, expected)
    _require_in_place(name, layers, expected)
    _require_types(name, layers, expected)
    _require_kept(name, layers, expected)
    _require_int8(name, layers, expected)
    products = [layer for layer in layers if layer.is_product]
    return dict(Counter("+".join(sorted(layer.types)) or "other" for layer in products))


def _require_inputs(name: str, layers: Sequence[Layer], expected: Expected) -> None:
    read = {tensor.name for layer in layers for tensor in layer.inputs}
    aliased = {past for past, _ in expected.caches}
    unused = [one for one in expected.inputs if one not in read | aliased]
    if unused:
        raise PlanError(
            f"{name}: TensorRT does not use the graph's input {', '.join(unused)}: what it says "
            "would be passed over in silence."
        )


def _require_in_place(name: str, layers: Sequence[Layer], expected: Expected) -> None:
    for past, present in expected.caches:
        readers = [layer.name for layer in layers if past in _names(layer.inputs)]
        if readers:
            raise PlanError(
                f"{name}: the cache {past} is not updated in place: {readers[0]} reads it to make "
                f"a copy."
            )
        if not any(
            present in _names(layer.inputs) and present in _names(layer.outputs) for layer in layers
        ):
            raise PlanError(f"{name}: no layer writes the cache {present} in place.")


def _require_types(name: str, layers: Sequence[Layer], expected: Expected) -> None:
    if expected.float32 is None:
        return
    for layer in layers:
        if layer.is_product and "Float" in layer.types and not layer.sources & {*expected.float32}:
            raise PlanError(
                f"{name}: {layer.name} is computed in FP32, and nobody asked for it "
                f"({', '.join(sorted(layer.sources)) or 'no node is named'})."
            )


def _require_kept(name: str, layers: Sequence[Layer], expected: Expected) -> None:
    made = [layer.sources for layer in layers if layer.is_product and "Float" in layer.types]
    missing = sorted(one for one in expected.kept if not any(one in some for some in made))
    if missing:
        raise PlanError(
            f"{name}: {', '.join(missing)} should be FP32, since 16 bits can't hold it, and "
            "TensorRT computes it in 16 bits."
        )


def _require_int8(name: str, layers: Sequence[Layer], expected: Expected) -> None:
    if not expected.int8:
        return
    made = set[str]()
    for layer in layers:
        if layer.is_int8:
            made |= layer.sources
    missing = sorted(set(expected.int8) - made)
    if len(missing) == len(set(expected.int8)):
        raise PlanError(f"{name}: not one product is INT8, where {len(missing)} should be.")
    if missing:
        raise PlanError(f"{name}: {', '.join(missing)} should be INT8 and are not.")


def _names(tensors: Sequence[Tensor]) -> set[str]:
    return {tensor.name for tensor in tensors}
