"""The files that the native code reads of an encoder with a head, from its float graph."""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import onnx

from engine.export.graphs.encoder import HEAD
from engine.export.native.stack import NativeStack
from engine.export.precision.recipes import Recipe
from engine.model.encoders.config import EncoderConfig
from engine.model.encoders.model import EncoderModel
from engine.native.layout import padded
from engine.native.weights import StoredTensor, write_weights


def runs_natively(config: EncoderConfig) -> bool:
    """Whether the native code has all of an encoder.

    It has no attention that knows positions (DeBERTa, ESM-2), and embeddings of a token that hang
    on no other (unlike ESM's).
    """
    return (
        config.positions == "learned"
        and config.disentangled is None
        and config.token_dropout is None
        and config.embedding_norm != "after"
        and config.block.norm_kind == "layer"
        and not config.block.gated
    )


def write_native_encoder(
    folder: Path, model: EncoderModel, graph: onnx.ModelProto, recipe: Recipe
) -> None:
    """Writes `model.json` and `weights.safetensors` of an encoder.

    Layers that share parameters have one copy of what is the same in all of them.
    """
    config, twins = model.config, dict[str, str]()
    tensors = list(_tensors(model, NativeStack(config.block, graph, recipe)))
    if config.blocks < len(config.order):
        twins = _twins(tensors)
        tensors = [tensor for tensor in tensors if tensor.name not in twins]
    write_weights(folder, _described(model) | {"twins": twins}, tensors)


def _described(model: EncoderModel) -> dict[str, Any]:
    config, block = model.config, model.config.block
    return {
        "vocabulary": config.vocab_size,
        "width": block.width,
        "embedding_width": config.embedding_width,
        "max_positions": config.max_tokens,
        "token_types": config.token_types,
        "layers": len(config.order),
        "heads": block.heads,
        "head": padded(block.head_width),
        "hidden": padded(block.hidden),
        "labels": model.labels,
        "pre_norm": block.norm == "pre",
        "embedding_norm": config.embedding_norm != "none",
        "projects": config.projection != "none",
        "spans": model.head == "spans",
        "activation": block.activation,
        "head_activation": config.head_activation,
        "epsilon": block.norm_epsilon,
    }


def _tensors(model: EncoderModel, stack: NativeStack) -> Iterator[StoredTensor]:
    """All of them; names are those of `src/api.cpp`."""
    config = model.config
    yield stack.table("embedding", "embedding.weight")
    yield stack.table("positions", "positions")
    if config.token_types:
        yield stack.table("token_types", "token_types.weight")
    if config.embedding_norm != "none":
        yield from stack.norm("embedding_norm", "embedding_norm")
    if config.projection != "none":
        yield from stack.product("projection", "projection")
    for layer in range(len(config.order)):
        yield from stack.layer(f"encoder.{layer}", f"layers.{layer}")
    if config.block.norm == "pre":
        yield from stack.norm("encoder.norm", "final_norm")
    for name in HEAD[1:] if model.head == "spans" else HEAD:
        yield from stack.product(name, name)


def _twins(tensors: Iterable[StoredTensor]) -> dict[str, str]:
    """Of each tensor that equals one before it, the name of that one."""
    first: dict[bytes, str] = {}
    twins = {}
    for tensor in tensors:
        digest = hashlib.sha256(f"{tensor.kind} {tensor.shape}".encode())
        for part in tensor.content():
            digest.update(part)
        twin = first.setdefault(digest.digest(), tensor.name)
        if twin != tensor.name:
            twins[tensor.name] = twin
    return twins
