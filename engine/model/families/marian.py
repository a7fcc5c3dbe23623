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
        normalize_before=False,
        normalize_embedding=False,
        add_final_layer_norm=False,
        static_position_embeddings=True,
    )
    source, target = hf["vocab_size"], hf.get("decoder_vocab_size") or hf["vocab_size"]
    shared = hf.get("share_encoder_decoder_embeddings", True)
    if shared and source != target:
        raise ValueError(
            f"decoder_vocab_size is {target} and vocab_size {source}: with "
            "share_encoder_decoder_embeddings one table serves both."
        )
    sizes = {"vocab_size": target, "source_vocab_size": 0 if shared else source}
    return bart_layout.read_sizes(hf, norm="post", output_bias=True, **sizes)


def map_weights(state: dict[str, Tensor], config: ModelConfig) -> dict[str, Tensor]:
    """Our state dict from theirs."""
    return bart_layout.map_weights(state, config)
