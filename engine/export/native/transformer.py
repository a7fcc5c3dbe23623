"""The files that the native code reads of an encoder-decoder, from its float graphs."""

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from engine.export.graphs.builder import Array
from engine.export.graphs.constants import values_of
from engine.export.native.screen import Screen, make_screen
from engine.export.native.stack import NativeStack, whole
from engine.export.precision.float_graphs import ENCODER, STEP, Graphs
from engine.export.precision.recipes import Recipe
from engine.model.config import ModelConfig
from engine.model.shortlist import Shortlist
from engine.native.layout import DEPTH, column_sums, pack_bytes, pack_floats, pad, padded
from engine.native.weights import StoredTensor, described_attention, write_weights

logger = logging.getLogger(__name__)


def write_native(
    folder: Path,
    config: ModelConfig,
    graphs: Graphs,
    recipes: Mapping[str, Recipe],
    suppressed_ids: tuple[int, ...],
    shortlist: Shortlist | None = None,
    head_inputs: Array | None = None,
) -> None:
    """Writes `model.json` and `weights.safetensors` of an encoder-decoder.

    With `head_inputs [n,width]`, which were seen, an INT8 head is screened (`screen.py`).
    """
    stacks = [
        _TransformerStack(name, config, graphs[file], recipes[file])
        for name, file in _FILES.items()
    ]
    tensors = [tensor for stack in stacks for tensor in stack.tensors()]
    if shortlist:
        for name, array in (("ends", shortlist.ends), ("ids", shortlist.ids)):
            tensors.append(whole(f"shortlist.{name}", array, "I32"))
    model = _described(config) | {
        # Keys and values of BF16 may be larger than FP16 holds.
        "half_caches": all(one.precision in ("fp16", "int8") for one in recipes.values()),
        "suppressed_ids": sorted(set(suppressed_ids)),
        "shortlist": shortlist.ids.size if shortlist else 0,
    }
    screen = None if head_inputs is None else stacks[1].screen(head_inputs)
    if screen:
        tensors += [*_tensors_of(screen, stacks[1].head_bias()), stacks[1].head_columns()]
    elif head_inputs is not None:
        logger.warning("the head is not screened: it is too narrow, or not INT8")
    rank, error, norm = (screen.rank, screen.error, screen.norm) if screen else (0, 0.0, 0.0)
    model |= {"screen": rank, "screen_error": error, "screen_norm": norm}
    write_weights(folder, model, tensors)


def _tensors_of(screen: Screen, bias: Array) -> Iterator[StoredTensor]:
    """A screen as two products and two bounds; nothing is off behind the vocabulary."""
    width = padded(len(screen.rotation))
    rotation = np.zeros((width, width), np.float32)
    rotation[: len(screen.rotation), : len(screen.rotation)] = screen.rotation
    yield whole("screen_rotation.float", pack_floats(rotation))
    yield whole("screen_rotation.bias", np.zeros(width, np.float32))
    weights = np.zeros((screen.rank, bias.size), np.int8)
    weights[:, : screen.weights.shape[1]] = screen.weights
    yield whole("screen.int8", pack_bytes(weights), "I8")
    yield whole("screen.sums", column_sums(weights), "I32")
    yield whole("screen.inputs", np.full(screen.rank, 1 / screen.step, np.float32))
    yield whole("screen.bias", bias)
    for name, values in (
        ("scales", screen.scales),
        ("of_rest", screen.of_rest),
        ("of_rounding", screen.of_rounding),
    ):
        yield whole(f"screen.{name}", pad(values, 0, bias.size))


HEAD_PRODUCTS = ("head", "logits")
"""The node of a graph's head with a bias, and without one."""

_FILES = {"encoder": ENCODER, "decoder": STEP}


def _described(config: ModelConfig) -> dict[str, Any]:
    encoder, decoder = config.encoder_block, config.decoder_block
    return {
        "vocabulary": config.vocab_size,
        "source_vocabulary": config.source_vocab_size,
        "width": config.d_model,
        "max_positions": config.max_positions,
        "furthest": config.relative_distance if config.positions == "relative" else 0,
        **described_attention(config),
        "max_target_positions": config.max_target_positions,
        "pad_id": config.pad_id,
        "encoder_layers": config.encoder_layers,
        "encoder_heads": encoder.heads,
        "encoder_head": padded(encoder.head_width),
        "encoder_hidden": padded(encoder.hidden),
        "decoder_layers": config.decoder_layers,
        "decoder_heads": decoder.heads,
        "decoder_head": padded(decoder.head_width),
        "decoder_hidden": padded(decoder.hidden),
        "pre_norm": config.norm == "pre",
        "rms": config.norm_kind == "rms",
        "gated": config.gated,
        "recurrent": config.is_recurrent,
        "pads_have_no_position": config.positions == "shifted_sinusoidal",
        "activation": config.activation,
        "epsilon": config.norm_epsilon,
    }


class _TransformerStack(NativeStack):
    """The encoder or the decoder."""

    def __init__(
        self, name: str, config: ModelConfig, graph: onnx.ModelProto, recipe: Recipe
    ) -> None:
        block = config.encoder_block if name == "encoder" else config.decoder_block
        super().__init__(block, graph, recipe)
        self.name, self.config = name, config

    def tensors(self) -> Iterator[StoredTensor]:
        config, name = self.config, self.name
        separate = config.source_vocab_size > 0
        if name == "encoder" and separate:
            yield from self._embedding("source_embedding")
        elif name == "encoder" or separate:
            yield from self._embedding("embedding")
        yield self._places()
        if name == "encoder" and config.has_globals:
            yield whole("encoder.global_relative", self.served("global_relative_bias").T)
        if config.embedding_norm:
            yield from self.norm(f"{name}.embedding_norm", f"{name}_embedding_norm")
        if config.norm == "pre":
            yield from self.norm(f"{name}.norm", f"{name}_norm")
        layers = config.encoder_layers if name == "encoder" else config.decoder_layers
        for layer in range(layers):
            here = f"{name}.{layer}"
            yield from self.layer(here, here, self._kinds())
        if name == "encoder":
            # Keys and values are of the decoder's heads.
            head = config.decoder_block.head_width
            yield from self.product("cross_projections", "cross_projections", head_out=head)
        else:
            yield from self._head()

    def _kinds(self) -> list[str]:
        """The parts of a layer before its feed-forward block."""
        if self.name == "encoder":
            return ["attention"]
        own = "recurrence" if self.config.is_recurrent else "attention"
        return [own, "cross_attention"]

    def _embedding(self, name: str) -> Iterator[StoredTensor]:
        """The stack's table; in 16 bits as in the graph, which scales what it reads."""
        scale = self.config.embedding_scale
        if "embedding" not in self.halved:
            yield self.table(name, "embedding", scale)
            return
        yield self.table(name, "embedding")
        yield whole(f"{name}.scales", np.full(padded(self.config.d_model), scale, np.float32))

    def _places(self) -> StoredTensor:
        """What a stack knows of positions."""
        if self.config.positions == "relative":
            return whole(f"{self.name}.relative", self.served("relative_bias").T)
        rows = self.config.max_positions
        return self.table(f"{self.name}.positions", "positions_table", rows=rows)

    def _head(self) -> Iterator[StoredTensor]:
        yield from self.product("head", "head", product=self._head_product, bias=self.head_bias())

    @property
    def _head_product(self) -> str:
        """Its node in the graph."""
        return HEAD_PRODUCTS[0 if "head.bias" in self.constants else 1]

    def screen(self, inputs: Array) -> Screen | None:
        """That of the head, by the inputs `[n,width]` that it had; None where it is not INT8."""
        rounding = self.recipe.roundings.get(self._head_product)
        if rounding is None:
            return None
        weight = self.values("head.weight")
        return make_screen(lambda: rounding.columns_of(weight), rounding.integers(inputs))

    def head_columns(self) -> StoredTensor:
        """The columns of an INT8 head one behind the other: few are looked at, each as a whole."""
        rounding = self.recipe.roundings[self._head_product]
        weight = self.values("head.weight")
        depth, tokens = padded(len(weight), DEPTH), padded(self.config.vocab_size)
        left = tokens - weight.shape[1]

        def parts() -> Iterator[Array]:
            for integers, _ in rounding.columns_of(weight):
                yield pad(integers.T, 1, depth)
            yield np.zeros((left, depth), np.int8)

        return StoredTensor("screen.columns", "I8", (tokens, depth), parts)

    def head_bias(self) -> Array:
        """The head's bias has suppressed tokens' own, and -inf behind the vocabulary."""
        size = self.config.vocab_size
        bias = np.full(padded(size), -np.inf, np.float32)
        bias[:size] = self.values("head.bias") if "head.bias" in self.constants else 0
        few = "suppressed_head.weight" in self.constants
        if few:
            # The graph's bias is -inf where tokens are suppressed.
            hidden = np.flatnonzero(np.isneginf(bias[:size]))
            own = self.constants.get("suppressed_head.bias")
            bias[hidden] = 0 if own is None else values_of(own)
        return bias
