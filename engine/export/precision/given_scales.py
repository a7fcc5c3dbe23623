"""The INT8 scales that a checkpoint brings of its own, as roundings of its graphs' products.

Marian's files for processors hold integers, and the ranges that their inputs had when their authors
calibrated them. A variant uses both as they are, so it computes with the very integers of the file.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import onnx

from engine.export.graphs.builder import Array
from engine.export.graphs.constants import values_of
from engine.export.precision.calibration import Observation, quantizable
from engine.export.precision.sensitivity import Rounding, relative_error
from engine.model.checkpoint import Checkpoint
from engine.model.config import ModelConfig
from engine.model.weights import Int8Scales


def given_roundings(
    model: onnx.ModelProto, checkpoint: Checkpoint, seen: Observation
) -> dict[str, Rounding]:
    """The roundings of a graph's products, by the node's name; empty where it brings no scales.

    Maps that are one product here have one input, so the file has one scale for it; where it has
    several, the widest serves all.
    """
    scales = checkpoint.int8_scales
    if not scales:
        return {}
    config = checkpoint.config
    constants = {constant.name: constant for constant in model.graph.initializer}
    inputs = quantizable(model)
    maps = dict(_maps(config))
    found = {}
    for node in model.graph.node:
        if node.name not in inputs or node.name not in maps:
            continue
        weight = values_of(constants[node.input[1]])
        columns = _columns(weight.shape[1], maps[node.name], scales, config)
        scale = max(scales[name].input for name in maps[node.name])
        rows = seen.inputs[inputs[node.name]].rows
        error = relative_error(rows, weight, Rounding(scale, 0.0, 0.0, columns=columns))
        found[node.name] = Rounding(scale, error, error, columns=columns)
    return found


def _columns(
    width: int, names: Sequence[str], scales: Mapping[str, Int8Scales], config: ModelConfig
) -> Array:
    each = width // len(names)
    # The scale of attention is in the graph's queries.
    queries = config.decoder_block.head_width**-0.5 if config.scale_attention else 1.0
    parts = [
        np.full(each, scales[name].weight * (queries if name.endswith(".query") else 1.0))
        for name in names
    ]
    return np.concatenate(parts).astype(np.float32)


def _maps(config: ModelConfig) -> Iterator[tuple[str, list[str]]]:
    """The names of products, and the linear maps that each is made of."""
    for stack, layers in (("encoder", config.encoder_layers), ("decoder", config.decoder_layers)):
        for layer in range(layers):
            here = f"{stack}.{layer}"
            own = f"{here}.attention.sublayer"
            yield f"{own}.qkv", [f"{own}.{part}" for part in ("query", "key", "value")]
            unit = f"{here}.recurrence.sublayer"
            yield f"{unit}.input_forget", [f"{unit}.input", f"{unit}.forget"]
            for name in (
                *(f"{own}.output", f"{here}.cross_attention.sublayer.query"),
                *(f"{here}.cross_attention.sublayer.output", f"{here}.ffn.sublayer.up"),
                f"{here}.ffn.sublayer.down",
            ):
                yield name, [name]
    crossed = [f"decoder.{n}.cross_attention.sublayer" for n in range(config.decoder_layers)]
    yield "cross_projections", [f"{one}.{part}" for one in crossed for part in ("key", "value")]
    yield "head", ["head"]
