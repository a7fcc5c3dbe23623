"""Marian / OPUS-MT (https://huggingface.co/docs/transformers/model_doc/marian): post-norm."""

from typing import Any

from torch import Tensor

from engine.model.config import Activation, ModelConfig
from engine.model.families import bart_layout

ACTIVATIONS: dict[str, Activation] = {
    "relu": "relu",
    "gelu": "gelu",
    "swish": "silu",
    "silu": "silu",
}


def read_config(hf: dict[str, Any]) -> ModelConfig:
    """The configuration in our terms."""
    return bart_sizes(hf, norm="post", output_bias=True)


def bart_sizes(hf: dict[str, Any], **choices: Any) -> ModelConfig:
    """The sizes that Marian and Pegasus name alike, with a family's own `choices`.

    Raises:
        ValueError: the activation is one that we do not have.

    """
    activation = hf.get("activation_function", "gelu")
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation_function {activation!r} is not one of {sorted(ACTIVATIONS)}")
    return ModelConfig(
        vocab_size=hf["vocab_size"],
        encoder_layers=hf["encoder_layers"],
        decoder_layers=hf["decoder_layers"],
        encoder_heads=hf["encoder_attention_heads"],
        decoder_heads=hf["decoder_attention_heads"],
        d_model=hf["d_model"],
        encoder_ffn=hf["encoder_ffn_dim"],
        decoder_ffn=hf["decoder_ffn_dim"],
        activation=ACTIVATIONS[activation],
        max_positions=hf["max_position_embeddings"],
        scale_embedding=hf.get("scale_embedding", False),
        dropout=hf.get("dropout", 0.1),
        pad_id=hf["pad_token_id"],
        eos_id=hf["eos_token_id"],
        decoder_start_id=hf["decoder_start_token_id"],
        **choices,
    )


def map_weights(state: dict[str, Tensor], config: ModelConfig) -> dict[str, Tensor]:
    """Our state dict from theirs."""
    return bart_layout.map_weights(state, config)
