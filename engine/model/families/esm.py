"""ESM-1b and ESM-2, models of protein sequences: pre-norm, learned or rotary positions.

https://huggingface.co/docs/transformers/model_doc/esm; Lin et al. 2023, Science 379, 1123.
"""

from typing import Any

from torch import Tensor

from engine.model.encoders.config import EncoderConfig, HeadKind, TokenDropout
from engine.model.encoders.positions import rotary_frequencies
from engine.model.families.encoder_layout import (
    LAYER,
    EncoderLayout,
    block,
    padding_before_positions,
    refuse,
)

MODEL_TYPES = ("esm",)

_LAYER = LAYER | {"attention.norm": "attention.LayerNorm", "ffn.norm": "LayerNorm"}

_FREQUENCIES = "rotary_embeddings.inv_freq"
"""How the names of rotary frequencies end: one for all layers, or the same one in each."""


def read_config(hf: dict[str, Any]) -> EncoderConfig:
    """The configuration in our terms.

    Raises:
        KeyError, ValueError: a field is missing, or not supported.

    """
    refuse(hf, is_decoder=False, add_cross_attention=False, is_folding_model=False)
    kind = hf.get("position_embedding_type", "absolute")
    if kind not in ("absolute", "rotary"):
        raise ValueError(f"position_embedding_type {kind!r} is not supported")
    pad_id, mask_id = padding_before_positions(hf), hf.get("mask_token_id")
    dropout = None
    if hf.get("token_dropout"):
        if mask_id is None:
            raise ValueError("mask_token_id is missing, and token_dropout needs it")
        dropout = TokenDropout(mask_id)
    return EncoderConfig(
        block=block(hf, "gelu", norm="pre", norm_epsilon=hf.get("layer_norm_eps", 1e-12)),
        vocab_size=hf["vocab_size"],
        order=tuple(range(hf["num_hidden_layers"])),
        max_positions=hf["max_position_embeddings"],
        position_offset=pad_id + 1,
        pad_id=pad_id,
        embedding_width=hf["hidden_size"],
        embedding_norm="before" if hf.get("emb_layer_norm_before") else "none",
        positions="learned" if kind == "absolute" else "rotary",
        rotary_base=hf.get("rope_theta", 10000.0),
        token_dropout=dropout,
    )


def map_weights(
    state: dict[str, Tensor], config: EncoderConfig, head: HeadKind
) -> dict[str, Tensor]:
    """Our state dict from theirs.

    Raises:
        ValueError: ESM has no span head.

    """
    if head == "spans":
        raise ValueError("ESM has no question answering head")
    modules = {
        "embedding": "esm.embeddings.word_embeddings",
        "final_norm": "esm.encoder.emb_layer_norm_after",
    }
    if config.positions == "learned":
        modules["positions"] = "esm.embeddings.position_embeddings"
    if config.embedding_norm != "none":
        modules["embedding_norm"] = "esm.embeddings.layer_norm"
    layout = EncoderLayout(
        modules=modules,
        layers=tuple(f"esm.encoder.layer.{number}" for number in range(config.blocks)),
        layer=_LAYER,
        head_dense="classifier.dense",
        head_output="classifier.out_proj",
    )
    weights = layout.map_weights(state, config, head)
    if config.positions == "rotary":
        stored = sorted(name for name in state if name.endswith(_FREQUENCIES))
        # Those of a checkpoint may be rounded to float16, as they were in training.
        weights["frequencies"] = state[stored[0]].float() if stored else rotary_frequencies(config)
    return weights
