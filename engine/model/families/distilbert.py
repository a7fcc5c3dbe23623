"""DistilBERT (https://huggingface.co/docs/transformers/model_doc/distilbert): no token types."""

from typing import Any

from torch import Tensor

from engine.model.encoders.config import EncoderConfig, HeadKind
from engine.model.families.encoder_layout import EncoderLayout, block, read_activation

MODEL_TYPES = ("distilbert",)

_LAYER = {
    "attention.sublayer.query": "attention.q_lin",
    "attention.sublayer.key": "attention.k_lin",
    "attention.sublayer.value": "attention.v_lin",
    "attention.sublayer.output": "attention.out_lin",
    "attention.norm": "sa_layer_norm",
    "ffn.sublayer.up": "ffn.lin1",
    "ffn.sublayer.down": "ffn.lin2",
    "ffn.norm": "output_layer_norm",
}


def read_config(hf: dict[str, Any]) -> EncoderConfig:
    """The configuration in our terms; sinusoidal positions stand in the checkpoint as a table.

    Raises:
        KeyError, ValueError: a field is missing, or not supported.

    """
    sizes = {
        "hidden_size": hf["dim"],
        "num_attention_heads": hf["n_heads"],
        "intermediate_size": hf["hidden_dim"],
    }
    activation = read_activation(hf, "activation", "gelu")
    return EncoderConfig(
        block=block(sizes, activation, norm_epsilon=1e-12),
        vocab_size=hf["vocab_size"],
        order=tuple(range(hf["n_layers"])),
        max_positions=hf["max_position_embeddings"],
        pad_id=hf.get("pad_token_id") or 0,
        embedding_width=hf["dim"],
        head_activation="relu",
    )


def map_weights(
    state: dict[str, Tensor], config: EncoderConfig, head: HeadKind
) -> dict[str, Tensor]:
    """Our state dict from theirs."""
    embeddings = "distilbert.embeddings"
    layout = EncoderLayout(
        modules={
            "embedding": f"{embeddings}.word_embeddings",
            "positions": f"{embeddings}.position_embeddings",
            "embedding_norm": f"{embeddings}.LayerNorm",
        },
        layers=tuple(f"distilbert.transformer.layer.{n}" for n in range(config.blocks)),
        layer=_LAYER,
        head_dense="pre_classifier",
        head_output="classifier",
    )
    return layout.map_weights(state, config, head)
