"""XLM-RoBERTa-XL (https://huggingface.co/docs/transformers/model_doc/xlm-roberta-xl): pre-norm.

Also the format that our own trained classifiers are saved in.
"""

from dataclasses import replace
from typing import Any

from torch import Tensor

from engine.model.encoders.config import EncoderConfig, HeadKind
from engine.model.families import roberta
from engine.model.families.encoder_layout import LAYER, EncoderLayout

MODEL_TYPES = ("xlm-roberta-xl",)

_LAYER = LAYER | {"attention.norm": "attention.self_attn_layer_norm", "ffn.norm": "LayerNorm"}


def read_config(hf: dict[str, Any]) -> EncoderConfig:
    """The configuration in our terms.

    Raises:
        KeyError, ValueError: a field is missing, or not supported.

    """
    config = roberta.read_config({"layer_norm_eps": 1e-5} | hf)
    return replace(config, block=replace(config.block, norm="pre"), embedding_norm="none")


def map_weights(
    state: dict[str, Tensor], config: EncoderConfig, head: HeadKind
) -> dict[str, Tensor]:
    """Our state dict from theirs."""
    layout = EncoderLayout(
        modules=roberta.EMBEDDINGS | {"final_norm": "roberta.encoder.LayerNorm"},
        layers=tuple(f"roberta.encoder.layer.{number}" for number in range(config.blocks)),
        layer=_LAYER,
        head_dense="classifier.dense",
        head_output="classifier.out_proj",
        folded="roberta.embeddings.token_type_embeddings",
    )
    return layout.map_weights(state, config, head)
