"""What the export of an encoder has of its own: what is rounded, and what is looked at."""

from collections.abc import Sequence

import numpy as np
import onnx

from engine.export.calibration import Observation, Observer, quantizable
from engine.export.encoder_graphs import DISTANCES, HEAD
from engine.model.encoder_config import EncoderConfig

CALIBRATION_TOKENS = 2048
"""Tokens of the calibration texts that are observed at once."""


def never_int8(model: onnx.ModelProto) -> frozenset[str]:
    """The products that are never INT8: the head's, and those with distances, which are few."""
    return frozenset(
        name for name in quantizable(model) if name in HEAD or name.endswith(DISTANCES)
    )


def observe_encoder(
    model: onnx.ModelProto, config: EncoderConfig, texts: Sequence[list[int]]
) -> Observation:
    """What is seen in the graph of an encoder; `texts` are as it takes them, as ids."""
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
        observer.run(inputs, real)
    return observer.observation()
