"""The files that the native code reads of an encoder-decoder, from its float graphs."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from engine.export.graphs.constants import values_of
from engine.export.native.stack import NativeStack, whole
from engine.export.precision.float_graphs import ENCODER, STEP, Graphs
from engine.export.precision.recipes import Recipe
from engine.model.config import ModelConfig
from engine.model.shortlist import Shortlist
from engine.native.layout import padded
from engine.native.weights import StoredTensor, write_weights


def write_native(
    folder: Path,
    config: ModelConfig,
    graphs: Graphs,
    recipes: Mapping[str, Recipe],
    suppressed_ids: tuple[int, ...],
    shortlist: Shortlist | None = None,
) -> None:
    """Writes `model.json` and `weights.safetensors` of an encoder-decoder."""
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
    write_weights(folder, model, tensors)


_FILES = {"encoder": ENCODER, "decoder": STEP}


def _described(config: ModelConfig) -> dict[str, Any]:
    encoder, decoder = config.encoder_block, config.decoder_block
    return {
        "vocabulary": config.vocab_size,
        "source_vocabulary": config.source_vocab_size,
        "width": config.d_model,
        "max_positions": config.max_positions,
        "furthest": config.relative_distance if config.positions == "relative" else 0,
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
        product = "head" if "head.bias" in self.constants else "logits"
        yield from self.product("head", "head", product=product, bias=bias)
