"""Reads a rank's part of a variant's weights, and no more of the file than that."""

from collections.abc import Mapping
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from engine.native.weights import read_weights
from engine.parallel.layout import Layout
from engine.parallel.shards.division import Portion, check_layout
from engine.parallel.shards.model import ShardedModel, joined
from engine.parallel.shards.ranks import Ranks
from engine.parallel.shards.weights.slices import Stored, shard
from engine.runtime.sessions.torch.model import TorchModel
from engine.runtime.sessions.torch.weights.tensors import loaded, stored_bytes
from engine.runtime.sessions.torch.weights.transformer import make_model


def load_shard(
    folder: Path, device: torch.device, dtype: torch.dtype, ranks: Ranks
) -> ShardedModel:
    """Reads this rank's part of a variant; INT8 is computed in `dtype`.

    Raises:
        DivisionError: the model can't be divided so.
        WeightsError: a file is missing, damaged or of another version.

    """
    described, _ = read_weights(folder)
    check_layout(described, ranks.layout)
    return loaded(folder, partial(_sharded, device, dtype, ranks))


def shard_bytes(folder: Path, dtype: torch.dtype, layout: Layout, rank: int) -> int:
    """The memory that the weights of a rank take. See `weight_bytes`."""
    described, tensors = read_weights(folder)
    _, cut = shard(described, tensors, rank % layout.tensor, layout.tensor)
    return stored_bytes(cut, dtype)


def _sharded(
    device: torch.device,
    dtype: torch.dtype,
    ranks: Ranks,
    described: Mapping[str, Any],
    tensors: Mapping[str, Stored],
) -> ShardedModel:
    group, vocabulary = ranks.tensor, int(described["vocabulary"])
    sources = int(described["source_vocabulary"])
    part = make_model(device, dtype, *shard(described, tensors, group.rank, group.size))
    tokens = Portion.of(vocabulary, group.rank, group.size)
    own = Portion.of(sources, group.rank, group.size) if sources else tokens
    whole = {one.name: getattr(part, one.name) for one in fields(TorchModel)}
    model = ShardedModel(**whole, ranks=ranks, tokens=tokens)
    return replace(
        model,
        vocabulary=vocabulary,
        source_vocabulary=sources or vocabulary,
        source_parts=ranks.sequence.size,
        encoder=joined(part.encoder, own, group),
        decoder=joined(part.decoder, tokens, group),
    )
