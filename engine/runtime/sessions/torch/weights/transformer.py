"""Reads the weights of an encoder-decoder."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch

from engine.model.shortlist import Shortlist
from engine.runtime.sessions.torch.model import (
    TorchBlocks,
    TorchModel,
    TorchProduct,
    TorchReach,
    TorchStack,
)
from engine.runtime.sessions.torch.weights.tensors import Stored, TensorReader, loaded


def load_model(folder: Path, device: torch.device, dtype: torch.dtype) -> TorchModel:
    """Reads a variant.

    Raises:
        WeightsError: a file is missing, damaged or of another version.

    """
    return loaded(folder, partial(make_model, device, dtype))


def make_model(
    device: torch.device,
    dtype: torch.dtype,
    described: Mapping[str, Any],
    tensors: Mapping[str, Stored],
) -> TorchModel:
    """A model of what `model.json` says and of the tensors of a variant. See `loaded`."""
    parts = TensorReader(described, tensors, device, dtype)
    width, vocabulary = parts.width, int(described["vocabulary"])
    inner = described["decoder_heads"] * described["decoder_head"]
    cross = parts.product("cross_projections", width, described["decoder_layers"] * 2 * inner)
    head = parts.product("head", width, vocabulary)
    suppressed = torch.tensor(described["suppressed_ids"], dtype=torch.int64)
    shortlist = None
    if described["shortlist"]:
        shortlist = Shortlist(tensors["shortlist.ends"], tensors["shortlist.ids"])
    return TorchModel(
        device=device,
        dtype=dtype,
        encoder=_stack(parts, "encoder", ["attention", "ffn"], cross),
        decoder=_stack(
            parts,
            "decoder",
            ["recurrence" if described["recurrent"] else "attention", "cross_attention", "ffn"],
            head,
        ),
        width=width,
        vocabulary=vocabulary,
        source_vocabulary=described["source_vocabulary"] or vocabulary,
        max_positions=described["max_positions"],
        activation=described["activation"],
        pre_norm=bool(described["pre_norm"]),
        gated=bool(described["gated"]),
        recurrent=bool(described["recurrent"]),
        unplaced=described["pad_id"] if described["pads_have_no_position"] else None,
        suppressed=suppressed.to(device),
        shortlist=shortlist,
    )


def _stack(parts: TensorReader, name: str, kinds: list[str], last: TorchProduct) -> TorchStack:
    described = parts.described
    heads, head = described[f"{name}_heads"], described[f"{name}_head"]
    own = name == "encoder" and described["source_vocabulary"] > 0
    is_relative = f"{name}.relative" in parts.tensors
    return TorchStack(
        heads=heads,
        head=head,
        embedding=parts.embedding(
            "source_embedding" if own else "embedding",
            None if is_relative else f"{name}.positions",
        ),
        relative=parts.whole(f"{name}.relative") if is_relative else None,
        embedding_norm=parts.norm_of(f"{name}.embedding_norm"),
        final_norm=parts.norm_of(f"{name}.norm"),
        layers=[
            [
                parts.sublayer(f"{name}.{layer}", kind, heads * head, described[f"{name}_hidden"])
                for kind in kinds
            ]
            for layer in range(described[f"{name}_layers"])
        ],
        last=last,
        reach=_reach(parts) if name == "encoder" else None,
    )


def _reach(parts: TensorReader) -> TorchReach | None:
    """How far the encoder's attention reaches."""
    described = parts.described
    if described["encoder_attention"] == "full":
        return None
    size, blocks = described["global_block"], None
    if size:
        blocks = TorchBlocks(size, parts.whole("encoder.global_relative"))
    return TorchReach(described["local_radius"], blocks)
