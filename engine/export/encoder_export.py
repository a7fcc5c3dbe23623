"""The graphs of an encoder in each precision: built, observed on calibration texts, quantized."""

import hashlib
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import onnx

from engine.export.calibration import Observer, quantizable
from engine.export.encoder_graphs import DISTANCES, HEAD, EncoderGraphs
from engine.export.graph import Array, without_constants
from engine.export.half import halve
from engine.export.quantization import quantize
from engine.model.checkpoint import Checkpoint
from engine.model.encoder_config import EncoderConfig

P = TypeVar("P", bound=str)

CALIBRATION_TOKENS = 2048
"""Tokens of the calibration texts that are observed at once."""


def encoder_models(
    checkpoint: Checkpoint, precisions: Sequence[P], calibration_ids: Sequence[list[int]]
) -> dict[P, onnx.ModelProto]:
    """The model in each of `precisions`, "fp32", "fp16" or "int8".

    `calibration_ids` are texts as the model takes them, special tokens included; INT8's ranges are
    taken from them.
    """
    config = checkpoint.encoder.config
    float_model = EncoderGraphs(checkpoint.encoder).graph()
    models = {}
    for precision in precisions:
        model = float_model
        if precision == "int8":
            magnitudes = _observe(float_model, config, calibration_ids)
            model = quantize(float_model, magnitudes, keep=_kept(float_model))
        elif precision == "fp16":
            model = halve(float_model)
        models[precision] = share_constants(model) if _shares(config) else model
    return models


def _kept(model: onnx.ModelProto) -> frozenset[str]:
    """The products that stay FP32: the head's, and those with distances, which are few."""
    return frozenset(
        name for name in quantizable(model) if name in HEAD or name.endswith(DISTANCES)
    )


def _observe(
    model: onnx.ModelProto, config: EncoderConfig, texts: Sequence[list[int]]
) -> dict[str, Array]:
    observer = Observer(model)
    ordered = sorted(texts, key=len)
    while ordered:
        rows = max(1, CALIBRATION_TOKENS // len(ordered[0]))
        batch, ordered = ordered[:rows], ordered[rows:]
        width = max(map(len, batch))
        real = np.arange(width)[None] < np.array([[len(ids)] for ids in batch])
        inputs = {"input_ids": np.full((len(batch), width), config.pad_id, np.int64)}
        for row, ids in enumerate(batch):
            inputs["input_ids"][row, : len(ids)] = ids
        inputs["mask"] = real.astype(np.int64)
        if config.token_types:
            inputs["token_types"] = np.zeros((len(batch), width), np.int64)
        observer.run(inputs)
    return observer.magnitudes()


def _shares(config: EncoderConfig) -> bool:
    return len(config.order) > config.blocks


def share_constants(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of `model` that holds equal constants once: layers with the same parameters."""
    first: dict[tuple[int, tuple[int, ...], bytes], str] = {}
    names: dict[str, str] = {}
    result = without_constants(model)
    for constant in model.graph.initializer:
        digest = hashlib.sha256(constant.raw_data).digest()
        key = constant.data_type, tuple(constant.dims), digest
        names[constant.name] = first.setdefault(key, constant.name)
        if names[constant.name] == constant.name:
            result.graph.initializer.append(constant)
    for node in result.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
    return result
