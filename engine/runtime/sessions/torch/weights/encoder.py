"""Reads the weights of an encoder with a head."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch

from engine.runtime.sessions.torch.model import TorchStack
from engine.runtime.sessions.torch.reader import TorchReader
from engine.runtime.sessions.torch.weights.tensors import Stored, TensorReader, loaded


def load_reader(folder: Path, device: torch.device, dtype: torch.dtype) -> TorchReader:
    """Reads a variant.

    Raises:
        WeightsError: a file is missing, damaged or of another version.

    """
    return loaded(folder, partial(_reader, device, dtype))


def _reader(
    device: torch.device,
    dtype: torch.dtype,
    described: Mapping[str, Any],
    tensors: Mapping[str, Stored],
) -> TorchReader:
    twins = {name: tensors[twin] for name, twin in dict(described["twins"]).items()}
    parts = TensorReader(described, {**tensors, **twins}, device, dtype)
    width, narrow = parts.width, int(described["embedding_width"])
    types, spans = described["token_types"], bool(described["spans"])
    output = parts.product("head_output", width, described["labels"])
    inner = described["heads"] * described["head"]
    return TorchReader(
        stack=TorchStack(
            heads=described["heads"],
            head=described["head"],
            embedding=parts.embedding("embedding", "positions", narrow),
            relative=None,
            embedding_norm=parts.norm_of("embedding_norm", narrow),
            final_norm=parts.norm_of("encoder.norm"),
            layers=[
                [
                    parts.sublayer(f"encoder.{layer}", kind, inner, described["hidden"])
                    for kind in ("attention", "ffn")
                ]
                for layer in range(described["layers"])
            ],
            last=output,
        ),
        types=parts.table("token_types", narrow) if types else None,
        projection=parts.product("projection", narrow, width) if described["projects"] else None,
        dense=None if spans else parts.product("head_dense", width, width),
        head_activation=described["head_activation"],
        device=device,
        vocabulary=described["vocabulary"],
        max_positions=described["max_positions"],
        activation=described["activation"],
        pre_norm=bool(described["pre_norm"]),
        gated=False,
    )
