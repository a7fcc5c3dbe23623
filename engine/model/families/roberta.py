"""RoBERTa, XLM-RoBERTa and CamemBERT, which are one architecture.

https://huggingface.co/docs/transformers/model_doc/roberta: positions begin after the padding's id,
and every token is of type 0.
"""

from typing import Any

from torch import Tensor

from engine.model.encoders.config import EncoderConfig, HeadKind
from engine.model.families.encoder_layout import (
    LAYER,
    EncoderLayout,
    block,
    padding_before_positions,
    read_activation,
    refuse_decoders,
)

MODEL_TYPES = ("roberta", "xlm-roberta", "camembert")

PAD_ID = 1

EMBEDDINGS = {
    "embedding": "roberta.embeddings.word_embeddings",
    "positions": "roberta.embeddings.position_embeddings",
}


def read_config(hf: dict[str, Any]) -> EncoderConfig:
    """The configuration in our terms.

    Raises:
        KeyError, ValueError: a field is missing, or not supported.

    """
    refuse_decoders(hf)
    pad_id = padding_before_positions(hf, PAD_ID)
    activation = read_activation(hf, "hidden_act", "gelu")
    return EncoderConfig(
        block=block(hf, activation, norm_epsilon=hf.get("layer_norm_eps", 1e-12)),
        vocab_size=hf["vocab_size"],
        order=tuple(range(hf["num_hidden_layers"])),
        max_positions=hf["max_position_embeddings"],
        position_offset=pad_id + 1,
        pad_id=pad_id,
        embedding_width=hf["hidden_size"],
    )


def map_weights(
    state: dict[str, Tensor], config: EncoderConfig, head: HeadKind
) -> dict[str, Tensor]:
    """Our state dict from theirs."""
    layout = EncoderLayout(
        modules=EMBEDDINGS | {"embedding_norm": "roberta.embeddings.LayerNorm"},
        layers=tuple(f"roberta.encoder.layer.{number}" for number in range(config.blocks)),
        layer=LAYER,
        head_dense="classifier.dense",
        head_output="classifier.out_proj",
        folded="roberta.embeddings.token_type_embeddings",
    )
    return layout.map_weights(state, config, head)
