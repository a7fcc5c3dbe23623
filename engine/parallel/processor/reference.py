"""Models with any sizes and random weights, in the files that native code reads.

How fast a model is depends on its sizes alone: so no checkpoint and no graph is needed to time it.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from engine.contract.manifest import Manifest
from engine.model.config import BlockConfig, ModelConfig
from engine.native.layout import DEPTH, LANES, padded
from engine.native.weights import StoredTensor, described_attention, write_weights

Stored = Literal["int8", "fp32"]
"""How the weights of products are stored."""

_NEVER = -1e4
"""The bias of the token that ends an answer: every answer has the length it is limited to."""
_KINDS = {"f": "F32", "i": "I32", "b": "I8"}


def write_reference(folder: Path, config: ModelConfig, stored: Stored) -> Manifest:
    """Writes a random model of these sizes; widths of heads and layers are multiples of 16.

    Returns:
        What a session must know of it.

    """
    described: dict[str, Any] = {
        "vocabulary": config.vocab_size,
        "source_vocabulary": config.source_vocab_size,
        "width": config.d_model,
        "max_positions": config.max_positions,
        "furthest": config.relative_distance if config.positions == "relative" else 0,
        **described_attention(config),
        "max_target_positions": config.max_target_positions,
        "pad_id": config.pad_id,
        "pre_norm": config.norm == "pre",
        "rms": config.norm_kind == "rms",
        "gated": config.gated,
        "recurrent": config.is_recurrent,
        "pads_have_no_position": False,
        "half_caches": stored == "int8",
        "activation": config.activation,
        "epsilon": config.norm_epsilon,
        "suppressed_ids": [],
        "shortlist": 0,
        "screen": 0,
        "screen_error": 0.0,
        "screen_norm": 0.0,
    }
    for name, block, layers in _stacks(config):
        described[f"{name}_layers"] = layers
        described[f"{name}_heads"] = block.heads
        described[f"{name}_head"] = block.head_width
        described[f"{name}_hidden"] = block.hidden
    folder.mkdir(parents=True, exist_ok=True)
    write_weights(folder, described, list(_ReferenceWeights(config, stored).tensors()))
    return Manifest(
        name="reference",
        base_model="reference",
        task="translation",
        family="random",
        checkpoint_sha256="",
        tokenizer_sha256="",
        precision=stored,
        max_source_tokens=config.max_positions,
        max_target_tokens=config.max_answer,
        vocab_size=config.vocab_size,
        pad_id=config.pad_id,
        eos_id=config.eos_id,
        decoder_start_id=config.decoder_start_id,
        decoder_layers=config.decoder_layers,
        decoder_heads=config.decoder_heads,
        head_width=config.decoder_block.head_width,
        decoder_unit=config.decoder_unit,
    )


def _stacks(config: ModelConfig) -> list[tuple[str, BlockConfig, int]]:
    return [
        ("encoder", config.encoder_block, config.encoder_layers),
        ("decoder", config.decoder_block, config.decoder_layers),
    ]


class _ReferenceWeights:
    """Its tensors, by the names of `engine/native/src/api.cpp`."""

    def __init__(self, config: ModelConfig, stored: Stored) -> None:
        self._config, self._stored = config, stored
        self._random = np.random.default_rng(5)

    def tensors(self) -> Iterator[StoredTensor]:
        config = self._config
        width, inner = config.d_model, config.decoder_heads * config.decoder_block.head_width
        yield self._floats("embedding", config.vocab_size, width)
        if config.source_vocab_size:
            yield self._floats("source_embedding", config.source_vocab_size, width)
        for name, block, layers in _stacks(config):
            places = 2 * config.relative_distance + 1
            if config.positions == "relative":
                yield self._floats(f"{name}.relative", block.heads, places)
            else:
                yield self._floats(f"{name}.positions", config.max_positions, width)
            if name == "encoder" and config.has_globals:
                yield self._floats("encoder.global_relative", block.heads, places)
            if config.embedding_norm:
                yield from self._norm(f"{name}.embedding_norm")
            if config.norm == "pre":
                yield from self._norm(f"{name}.norm")
            for layer in range(layers):
                yield from self._layer(f"{name}.{layer}", block, decodes=name == "decoder")
        yield from self._product("cross_projections", width, config.decoder_layers * 2 * inner)
        yield from self._product("head", width, padded(config.vocab_size), ends=True)

    def _layer(self, name: str, block: BlockConfig, *, decodes: bool) -> Iterator[StoredTensor]:
        width, inner = block.width, block.heads * block.head_width
        if decodes and self._config.is_recurrent:
            yield from self._norm(f"{name}.recurrence.norm")
            yield from self._product(f"{name}.recurrence.input_forget", width, 2 * width)
        else:
            yield from self._attention(f"{name}.attention", "qkv", 3 * inner, inner)
        if decodes:
            yield from self._attention(f"{name}.cross_attention", "query", inner, inner)
        elif self._config.has_globals:
            yield from self._norm(f"{name}.attention.global_norm")
        up, times = ("gate_up", 2) if block.gated else ("up", 1)
        yield from self._norm(f"{name}.ffn.norm")
        yield from self._product(f"{name}.ffn.{up}", width, times * block.hidden)
        yield from self._product(f"{name}.ffn.down", block.hidden, width)

    def _attention(self, name: str, entry: str, out: int, inner: int) -> Iterator[StoredTensor]:
        yield from self._norm(f"{name}.norm")
        yield from self._product(f"{name}.{entry}", self._config.d_model, out)
        yield from self._product(f"{name}.output", inner, self._config.d_model)

    def _product(
        self, name: str, depth: int, out: int, *, ends: bool = False
    ) -> Iterator[StoredTensor]:
        """A product; with `ends` the one whose outputs are tokens."""
        bias = np.zeros(out, np.float32)
        if ends:
            bias[self._config.vocab_size :] = -np.inf
            bias[self._config.eos_id] = _NEVER
        yield _whole(f"{name}.bias", bias)
        if self._stored == "fp32":
            yield self._floats(f"{name}.float", out // LANES, depth, LANES)
            return
        deep = padded(depth, DEPTH)
        weights = self._random.integers(-127, 128, (out // LANES, deep // 4, LANES, 4), np.int8)
        yield _whole(f"{name}.int8", weights)
        yield _whole(f"{name}.scales", np.full(out, 1e-4, np.float32))
        yield _whole(f"{name}.sums", 128 * weights.sum((1, 3), dtype=np.int32).ravel())
        yield _whole(f"{name}.inputs", np.full(deep, 32, np.float32))

    def _norm(self, name: str) -> Iterator[StoredTensor]:
        yield _whole(f"{name}.weight", np.ones(self._config.d_model, np.float32))
        if self._config.norm_kind == "layer":
            yield _whole(f"{name}.bias", np.zeros(self._config.d_model, np.float32))

    def _floats(self, name: str, *shape: int) -> StoredTensor:
        values = self._random.random(shape, np.float32)
        values -= 0.5
        values /= 8
        return _whole(name, values)


def _whole(name: str, array: NDArray[np.generic]) -> StoredTensor:
    kind = _KINDS["b" if array.dtype == np.int8 else array.dtype.kind]
    return StoredTensor(name, kind, array.shape, lambda: [array])
