"""What the export of an encoder has of its own: what is rounded, and what is looked at."""

from collections.abc import Iterable, Sequence

import numpy as np
import onnx

from engine.export.graphs.encoder import DISTANCES, HEAD
from engine.export.precision.calibration import Observation, ValueObserver, quantizable
from engine.model.encoders.config import EncoderConfig


def never_int8(model: onnx.ModelProto) -> frozenset[str]:
    """The products that are never INT8: the head's, and those with distances, which are few."""
    return frozenset(
        name for name in quantizable(model) if name in HEAD or name.endswith(DISTANCES)
    )


def observe_encoder(
    model: onnx.ModelProto, config: EncoderConfig, batches: Iterable[Sequence[list[int]]]
) -> Observation:
    """What is seen in the graph of an encoder, on batches of texts as it takes them, as ids."""
    observer = ValueObserver(model)
    for batch in batches:
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
