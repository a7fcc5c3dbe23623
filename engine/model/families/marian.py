"""Marian / OPUS-MT (https://huggingface.co/docs/transformers/model_doc/marian): post-norm."""

from typing import Any

from torch import Tensor

from engine.model.config import ModelConfig
from engine.model.families import bart_layout

MODEL_TYPES = ("marian",)


def read_config(hf: dict[str, Any]) -> ModelConfig:
    """The configuration in our terms."""
    bart_layout.require(
        hf,
        share_encoder_decoder_embeddings=True,
        normalize_before=False,
        normalize_embedding=False,
        add_final_layer_norm=False,
        static_position_embeddings=True,
    )
    if hf.get("decoder_vocab_size") not in (None, hf["vocab_size"]):
        raise ValueError("decoder_vocab_size has to be vocab_size: one embedding serves both.")
    return bart_layout.read_sizes(hf, norm="post", output_bias=True)


def map_weights(state: dict[str, Tensor], config: ModelConfig) -> dict[str, Tensor]:
    """Our state dict from theirs."""
    return bart_layout.map_weights(state, config)
