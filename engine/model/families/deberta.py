"""DeBERTa-v2 and v3 (https://huggingface.co/docs/transformers/model_doc/deberta-v2).

Attention is between contents and distances; absolute positions are optional.
"""

from typing import Any

from torch import Tensor

from engine.model.encoders.config import Disentangled, EncoderConfig, HeadKind
from engine.model.families.encoder_layout import (
    LAYER,
    EncoderLayout,
    block,
    read_activation,
    refuse,
)

MODEL_TYPES = ("deberta-v2",)

_LAYER = LAYER | {
    "attention.sublayer.query": "attention.self.query_proj",
    "attention.sublayer.key": "attention.self.key_proj",
    "attention.sublayer.value": "attention.self.value_proj",
}


def read_config(hf: dict[str, Any]) -> EncoderConfig:
    """The configuration in our terms.

    Raises:
        KeyError, ValueError: a field is missing, or not supported.

    """
    width = hf["hidden_size"]
    if not hf.get("relative_attention"):
        raise ValueError("relative_attention false is not supported")
    refuse(
        hf,
        is_decoder=False,
        conv_kernel_size=0,
        pooler_hidden_size=width,
        attention_head_size=width // hf["num_attention_heads"],
    )
    narrow = hf.get("embedding_size", width)
    activation = read_activation(hf, "hidden_act", "gelu")
    return EncoderConfig(
        block=block(hf, activation, norm_epsilon=hf.get("layer_norm_eps", 1e-7)),
        vocab_size=hf["vocab_size"],
        order=tuple(range(hf["num_hidden_layers"])),
        max_positions=hf["max_position_embeddings"],
        pad_id=hf.get("pad_token_id") or 0,
        embedding_width=narrow,
        projection="none" if narrow == width else "linear",
        embedding_norm="after",
        positions="learned" if hf.get("position_biased_input", True) else "none",
        token_types=hf.get("type_vocab_size", 0),
        disentangled=_disentangled(hf),
        head_activation=read_activation(hf, "pooler_hidden_act", "gelu"),
    )


def _disentangled(hf: dict[str, Any]) -> Disentangled:
    kinds = hf.get("pos_att_type") or []
    if isinstance(kinds, str):
        kinds = [kind.strip() for kind in kinds.lower().split("|")]
    if not set(kinds) <= {"c2p", "p2c"}:
        raise ValueError(f"pos_att_type {kinds!r} is not supported")
    norms = {norm.strip() for norm in hf.get("norm_rel_ebd", "none").lower().split("|")}
    if not norms <= {"none", "layer_norm"}:
        raise ValueError(f"norm_rel_ebd {hf['norm_rel_ebd']!r} is not supported")
    longest, buckets = hf.get("max_relative_positions", -1), hf.get("position_buckets", -1)
    longest = longest if longest >= 1 else hf["max_position_embeddings"]
    return Disentangled(
        span=buckets if buckets > 0 else longest,
        buckets=max(0, buckets),
        max_distance=longest,
        c2p="c2p" in kinds,
        p2c="p2c" in kinds,
        shared=hf.get("share_att_key", False),
        norm="layer_norm" in norms,
    )


def map_weights(
    state: dict[str, Tensor], config: EncoderConfig, head: HeadKind
) -> dict[str, Tensor]:
    """Our state dict from theirs."""
    relative, embeddings = config.disentangled, "deberta.embeddings"
    assert relative is not None
    modules = {
        "embedding": f"{embeddings}.word_embeddings",
        "embedding_norm": f"{embeddings}.LayerNorm",
        "distances": "deberta.encoder.rel_embeddings",
    }
    if config.positions == "learned":
        modules["positions"] = f"{embeddings}.position_embeddings"
    if config.token_types:
        modules["token_types"] = f"{embeddings}.token_type_embeddings"
    if config.projection != "none":
        modules["projection"] = f"{embeddings}.embed_proj"
    if relative.norm:
        modules["distances_norm"] = "deberta.encoder.LayerNorm"
    layer = dict(_LAYER)
    if relative.c2p and not relative.shared:
        layer["attention.sublayer.position_key"] = "attention.self.pos_key_proj"
    if relative.p2c and not relative.shared:
        layer["attention.sublayer.position_query"] = "attention.self.pos_query_proj"
    layout = EncoderLayout(
        modules=modules,
        layers=tuple(f"deberta.encoder.layer.{number}" for number in range(config.blocks)),
        layer=layer,
        head_dense="pooler.dense",
        head_output="classifier",
    )
    return layout.map_weights(state, config, head)
