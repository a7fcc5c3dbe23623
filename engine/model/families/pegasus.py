"""Pegasus (https://huggingface.co/docs/transformers/model_doc/pegasus): pre-norm.

Also the format that our own trained checkpoints are saved in: the family of `transformers` that has
a pre-norm encoder-decoder with sinusoidal positions and no language codes.
"""

from pathlib import Path
from typing import Any

from torch import Tensor
from transformers import (
    GenerationConfig,
    PegasusConfig,
    PegasusForConditionalGeneration,
    PreTrainedTokenizerFast,
)

from engine.model.config import ModelConfig
from engine.model.families import bart_layout
from engine.model.transformer import Transformer

MODEL_TYPES = ("pegasus",)


def read_config(hf: dict[str, Any]) -> ModelConfig:
    """The configuration in our terms."""
    bart_layout.require(
        hf,
        normalize_before=True,
        normalize_embedding=False,
        add_final_layer_norm=True,
        static_position_embeddings=True,
    )
    return bart_layout.read_sizes(hf, norm="pre", output_bias=True)


def map_weights(state: dict[str, Tensor], config: ModelConfig) -> dict[str, Tensor]:
    """Our state dict from theirs."""
    return bart_layout.map_weights(state, config)


def save(
    model: Transformer,
    tokenizer_file: Path,
    folder: Path,
    languages: tuple[str, str] | None = None,
    max_length: int | None = None,
) -> None:
    """Writes a pre-norm `model` as a float16 Pegasus checkpoint with its tokenizer.

    A translator's `languages` (source, target) go into `config.json` as `source_language` and
    `target_language`.  `max_length` bounds a generation, in tokens (default: half the positions).

    Raises:
        ValueError: the model is post-norm, which Pegasus can't hold.

    """
    config = model.config
    if config.norm != "pre":
        raise ValueError('Only a model with norm = "pre" can be saved as Pegasus.')
    hf_model = PegasusForConditionalGeneration(_hf_config(config, languages))
    ours = {name: tensor for name, tensor in model.state_dict().items() if name != "output_bias"}
    names = bart_layout.parameter_names(config)
    missing, unexpected = hf_model.load_state_dict(
        {names[name]: tensor for name, tensor in ours.items()}, strict=False
    )
    untied = [name for name in missing if "embed" not in name and name not in _DERIVED]
    assert not untied and not unexpected, (untied, unexpected)
    hf_model.tie_weights()
    hf_model.generation_config = GenerationConfig(
        max_length=(max_length or config.max_positions // 2) + 1,
        num_beams=1,
        pad_token_id=config.pad_id,
        eos_token_id=config.eos_id,
        decoder_start_token_id=config.decoder_start_id,
    )
    hf_model.half().save_pretrained(folder)
    PreTrainedTokenizerFast(
        tokenizer_file=str(tokenizer_file),
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        model_max_length=config.max_positions,
        clean_up_tokenization_spaces=False,
    ).save_pretrained(folder)


_DERIVED = {"final_logits_bias", "lm_head.weight"}


def _hf_config(config: ModelConfig, languages: tuple[str, str] | None) -> PegasusConfig:
    hf_config = PegasusConfig(
        vocab_size=config.vocab_size,
        d_model=config.d_model,
        encoder_layers=config.encoder_layers,
        decoder_layers=config.decoder_layers,
        encoder_attention_heads=config.encoder_heads,
        decoder_attention_heads=config.decoder_heads,
        encoder_ffn_dim=config.encoder_ffn,
        decoder_ffn_dim=config.decoder_ffn,
        activation_function=config.activation,
        max_position_embeddings=config.max_positions,
        scale_embedding=config.scale_embedding,
        dropout=config.dropout,
        pad_token_id=config.pad_id,
        eos_token_id=config.eos_id,
        decoder_start_token_id=config.decoder_start_id,
        forced_eos_token_id=None,
    )
    if languages:
        hf_config.source_language, hf_config.target_language = languages
    return hf_config
