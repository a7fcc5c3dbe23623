"""ALBERT (https://huggingface.co/docs/transformers/model_doc/albert).

Embeddings are narrow, and layers share their parameters in groups.
"""

import re
from typing import Any

from torch import Tensor

from engine.model.encoders.config import EncoderConfig, HeadKind
from engine.model.families.encoder_layout import (
    EncoderLayout,
    block,
    read_activation,
    refuse_decoders,
)

MODEL_TYPES = ("albert",)

_PLACE = re.compile(r"\.albert_layers\.(\d+)\.")

_LAYER = {
    "attention.sublayer.query": "attention.query",
    "attention.sublayer.key": "attention.key",
    "attention.sublayer.value": "attention.value",
    "attention.sublayer.output": "attention.dense",
    "attention.norm": "attention.LayerNorm",
    "ffn.sublayer.up": "ffn",
    "ffn.sublayer.down": "ffn_output",
    "ffn.norm": "full_layer_layer_norm",
}


def read_config(hf: dict[str, Any]) -> EncoderConfig:
    """The configuration in our terms.

    Raises:
        KeyError, ValueError: a field is missing, or not supported.

    """
    refuse_decoders(hf)
    activation = read_activation(hf, "hidden_act", "gelu_new")
    return EncoderConfig(
        block=block(hf, activation, norm_epsilon=hf.get("layer_norm_eps", 1e-12)),
        vocab_size=hf["vocab_size"],
        order=_order(hf),
        max_positions=hf["max_position_embeddings"],
        pad_id=hf.get("pad_token_id") or 0,
        embedding_width=hf["embedding_size"],
        projection="biased",
        token_types=hf.get("type_vocab_size", 2),
    )


def _order(hf: dict[str, Any]) -> tuple[int, ...]:
    """Layer by layer, the place of its parameters among those of all groups."""
    layers, groups = hf["num_hidden_layers"], hf.get("num_hidden_groups", 1)
    inner = hf.get("inner_group_num", 1)
    if not 1 <= groups <= layers or inner < 1:
        raise ValueError(f"num_hidden_groups {groups} and inner_group_num {inner} are not possible")
    return tuple(
        int(layer / (layers / groups)) * inner + place
        for layer in range(layers)
        for place in range(inner)
    )


def map_weights(
    state: dict[str, Tensor], config: EncoderConfig, head: HeadKind
) -> dict[str, Tensor]:
    """Our state dict from theirs."""
    embeddings, groups = "albert.embeddings", "albert.encoder.albert_layer_groups"
    inner = 1 + max((int(match[1]) for name in state if (match := _PLACE.search(name))), default=0)
    layout = EncoderLayout(
        modules={
            "embedding": f"{embeddings}.word_embeddings",
            "positions": f"{embeddings}.position_embeddings",
            "token_types": f"{embeddings}.token_type_embeddings",
            "embedding_norm": f"{embeddings}.LayerNorm",
            "projection": "albert.encoder.embedding_hidden_mapping_in",
        },
        layers=tuple(
            f"{groups}.{number // inner}.albert_layers.{number % inner}"
            for number in range(config.blocks)
        ),
        layer=_LAYER,
        head_dense="albert.pooler",
        head_output="classifier",
    )
    return layout.map_weights(state, config, head)
