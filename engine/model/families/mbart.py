"""mBART and mBART-50 (https://huggingface.co/docs/transformers/model_doc/mbart): pre-norm BART.

mBART-25 has no decoder start of its own: it starts with the code of the target language, and its
`decoder_start_id` here, the end of sequence, is only what stands in until a language is chosen.
"""

from typing import Any

from torch import Tensor

from engine.model.config import ModelConfig
from engine.model.families import bart_layout

MODEL_TYPES = ("mbart",)


def read_config(hf: dict[str, Any]) -> ModelConfig:
    """The configuration in our terms."""
    bart_layout.require(
        hf,
        normalize_before=True,
        normalize_embedding=True,
        add_final_layer_norm=True,
        static_position_embeddings=False,
    )
    return bart_layout.read_sizes(
        hf,
        norm="pre",
        positions="learned",
        embedding_norm=True,
        output_bias=True,
        **bart_layout.read_ids(hf, start=hf.get("eos_token_id")),
    )


def map_weights(state: dict[str, Tensor], config: ModelConfig) -> dict[str, Tensor]:
    """Our state dict from theirs."""
    return bart_layout.map_weights(state, config)
