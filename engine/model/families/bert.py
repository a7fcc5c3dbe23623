"""BERT (https://huggingface.co/docs/transformers/model_doc/bert): post-norm, token types."""

from typing import Any

from torch import Tensor

from engine.model.encoders.config import EncoderConfig, HeadKind
from engine.model.families.encoder_layout import (
    LAYER,
    EncoderLayout,
    block,
    read_activation,
    refuse_decoders,
)

MODEL_TYPES = ("bert",)


def read_config(hf: dict[str, Any]) -> EncoderConfig:
    """The configuration in our terms.

    Raises:
        KeyError, ValueError: a field is missing, or not supported.

    """
    refuse_decoders(hf)
    activation = read_activation(hf, "hidden_act", "gelu")
    return EncoderConfig(
        block=block(hf, activation, norm_epsilon=hf.get("layer_norm_eps", 1e-12)),
        vocab_size=hf["vocab_size"],
        order=tuple(range(hf["num_hidden_layers"])),
        max_positions=hf["max_position_embeddings"],
        pad_id=hf.get("pad_token_id") or 0,
        embedding_width=hf["hidden_size"],
        token_types=hf.get("type_vocab_size", 2),
    )


def map_weights(
    state: dict[str, Tensor], config: EncoderConfig, head: HeadKind
) -> dict[str, Tensor]:
    """Our state dict from theirs."""
    embeddings = "bert.embeddings"
    layout = EncoderLayout(
        modules={
            "embedding": f"{embeddings}.word_embeddings",
            "positions": f"{embeddings}.position_embeddings",
            "token_types": f"{embeddings}.token_type_embeddings",
            "embedding_norm": f"{embeddings}.LayerNorm",
        },
        layers=tuple(f"bert.encoder.layer.{number}" for number in range(config.blocks)),
        layer=LAYER,
        head_dense="bert.pooler.dense",
        head_output="classifier",
    )
    return layout.map_weights(state, config, head)
