"""ELECTRA's discriminator (https://huggingface.co/docs/transformers/model_doc/electra).

Embeddings may be narrow, and the head has GELU.
"""

from dataclasses import replace
from typing import Any

from torch import Tensor

from engine.model.encoders.config import EncoderConfig, HeadKind
from engine.model.families import bert
from engine.model.families.encoder_layout import LAYER, EncoderLayout

MODEL_TYPES = ("electra",)


def read_config(hf: dict[str, Any]) -> EncoderConfig:
    """The configuration in our terms.

    Raises:
        KeyError, ValueError: a field is missing, or not supported.

    """
    config = bert.read_config(hf)
    narrow = hf["embedding_size"]
    return replace(
        config,
        embedding_width=narrow,
        projection="none" if narrow == config.block.width else "biased",
        head_activation="gelu",
    )


def map_weights(
    state: dict[str, Tensor], config: EncoderConfig, head: HeadKind
) -> dict[str, Tensor]:
    """Our state dict from theirs."""
    embeddings = "electra.embeddings"
    modules = {
        "embedding": f"{embeddings}.word_embeddings",
        "positions": f"{embeddings}.position_embeddings",
        "token_types": f"{embeddings}.token_type_embeddings",
        "embedding_norm": f"{embeddings}.LayerNorm",
    }
    if config.projection != "none":
        modules["projection"] = "electra.embeddings_project"
    layout = EncoderLayout(
        modules=modules,
        layers=tuple(f"electra.encoder.layer.{number}" for number in range(config.blocks)),
        layer=LAYER,
        head_dense="classifier.dense",
        head_output="classifier.out_proj",
    )
    return layout.map_weights(state, config, head)
