"""M2M100 and NLLB (https://huggingface.co/docs/transformers/model_doc/m2m_100): pre-norm.

Its sinusoids are tensor2tensor's, and the first token has the position after that of padding.
"""

from typing import Any

from torch import Tensor

from engine.model.config import ModelConfig
from engine.model.families import bart_layout

MODEL_TYPES = ("m2m_100",)


def read_config(hf: dict[str, Any]) -> ModelConfig:
    """The configuration in our terms."""
    bart_layout.require(
        hf,
        normalize_before=True,
        normalize_embedding=False,
        add_final_layer_norm=True,
        static_position_embeddings=True,
    )
    ids = bart_layout.read_ids(hf, start=hf.get("eos_token_id"))
    defaults = {"activation_function": "relu", "scale_embedding": True}
    return bart_layout.read_sizes(
        defaults | hf,
        norm="pre",
        positions="shifted_sinusoidal",
        position_offset=ids["pad_id"] + 1,
        **ids,
    )


def map_weights(state: dict[str, Tensor], config: ModelConfig) -> dict[str, Tensor]:
    """Our state dict from theirs."""
    return bart_layout.map_weights(state, config)
