"""LongT5 (https://huggingface.co/docs/transformers/model_doc/longt5): T5 for long sources.

Its encoder attends to a window of tokens, and with "transient-global" to sums of blocks of them
(see `engine.model.encoders.long_attention`); all else is T5's.
"""

from typing import Any

from torch import Tensor

from engine.model.config import EncoderAttention, ModelConfig
from engine.model.families import t5

MODEL_TYPES = ("longt5",)

_MAX_POSITIONS = 16384
"""The longest sources of the article; `n_positions`, where files have one, is that of pretraining.

Relative positions have no end: models for 16,384 tokens were trained from such of 4,096.
"""

_MAX_TARGET_POSITIONS = 1024
"""Answers have no such length: the article's longest summaries are of 512 tokens."""

_ATTENTION: dict[str, tuple[EncoderAttention, str]] = {
    "local": ("local", "LocalSelfAttention"),
    "transient-global": ("transient_global", "TransientGlobalSelfAttention"),
}
"""What the encoder attends to, in our terms and as a checkpoint names it, by the file's term."""


def read_config(hf: dict[str, Any]) -> ModelConfig:
    """The configuration in our terms.

    Raises:
        KeyError: a size is missing.
        ValueError: a field has a value that we do not support.

    """
    kind = hf.get("encoder_attention_type", "local")
    if kind not in _ATTENTION:
        raise ValueError(
            f"encoder_attention_type {kind!r} is not one of {', '.join(sorted(_ATTENTION))}."
        )
    attention, _ = _ATTENTION[kind]
    return t5.read_sizes(
        hf,
        max_positions=_MAX_POSITIONS,
        max_target_positions=_MAX_TARGET_POSITIONS,
        encoder_attention=attention,
        local_radius=hf.get("local_radius", 127),
        global_block=hf.get("global_block_size", 16),
    )


def map_weights(state: dict[str, Tensor], config: ModelConfig) -> dict[str, Tensor]:
    """Our state dict from theirs.

    Raises:
        KeyError: a parameter is missing; the name is the one in the checkpoint.
        ValueError: the stacks' embeddings are not the same.

    """
    name = next(name for ours, name in _ATTENTION.values() if ours == config.encoder_attention)
    weights = t5.map_weights(state, config, name)
    if config.has_globals:
        bias = f"encoder.block.0.layer.0.{name}.global_relative_attention_bias.weight"
        weights["encoder_global_bias.bias.weight"] = state[bias].float()
        for layer in range(config.encoder_layers):
            norm = f"encoder.block.{layer}.layer.0.{name}.global_input_layer_norm.weight"
            ours = f"encoder.{layer}.attention.sublayer.global_norm.weight"
            weights[ours] = state[norm].float()
    return weights
