"""BART (https://huggingface.co/docs/transformers/model_doc/bart): post-norm, learned positions.

Each stack's input is normed, too.
"""

from typing import Any

from torch import Tensor

from engine.model.config import ModelConfig
from engine.model.families import bart_layout

MODEL_TYPES = ("bart",)


def read_config(hf: dict[str, Any]) -> ModelConfig:
    """The configuration in our terms."""
    bart_layout.require(
        hf,
        normalize_before=False,
        normalize_embedding=True,
        add_final_layer_norm=False,
        static_position_embeddings=False,
    )
    return bart_layout.read_sizes(
        hf, norm="post", positions="learned", embedding_norm=True, output_bias=True
    )


def map_weights(state: dict[str, Tensor], config: ModelConfig) -> dict[str, Tensor]:
    """Our state dict from theirs."""
    return bart_layout.map_weights(state, config)
