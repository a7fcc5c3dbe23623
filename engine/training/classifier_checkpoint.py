"""Writes a classifier as an XLM-RoBERTa-XL checkpoint.

XLM-RoBERTa-XL (https://huggingface.co/docs/transformers/model_doc/xlm-roberta-xl) is the family of
`transformers` that is a pre-norm encoder with a head (dense, tanh, projection) on its first token.
It learns its positions and does not scale embeddings: our sinusoids go into its table, and the
scale into the embeddings.
"""

from pathlib import Path

import torch
from torch import Tensor
from transformers import (
    PreTrainedTokenizerFast,
    XLMRobertaXLConfig,
    XLMRobertaXLForSequenceClassification,
)

from engine.model.config import ModelConfig
from engine.training.classifier import FirstTokenClassifier
from engine.training.vocabulary import BOS, EOS, PAD, UNK


def save_classifier(
    model: FirstTokenClassifier, tokenizer_file: Path, labels: list[str], folder: Path
) -> None:
    """Writes `model` in float16 with its tokenizer; `labels` are in the order of its logits."""
    config = model.config
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(tokenizer_file),
        bos_token=BOS,
        cls_token=BOS,
        eos_token=EOS,
        sep_token=EOS,
        pad_token=PAD,
        unk_token=UNK,
        model_max_length=config.max_positions,
        clean_up_tokenization_spaces=False,
    )
    assert len(tokenizer) == config.vocab_size, (len(tokenizer), config.vocab_size)
    hf_config = _hf_config(config, labels, tokenizer.bos_token_id)
    hf_model = XLMRobertaXLForSequenceClassification(hf_config)
    hf_model.load_state_dict(hf_state(model))
    hf_model.half().save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def hf_state(model: FirstTokenClassifier) -> dict[str, Tensor]:
    """The weights under the names of XLM-RoBERTa-XL."""
    config = model.config
    theirs = {
        "roberta.embeddings.word_embeddings": "embedding",
        "roberta.encoder.LayerNorm": "encoder_norm",
        "classifier.dense": "dense",
        "classifier.out_proj": "output",
    }
    for number in range(config.encoder_layers):
        layer, ours = f"roberta.encoder.layer.{number}", f"encoder.{number}"
        for name in ("query", "key", "value"):
            theirs[f"{layer}.attention.self.{name}"] = f"{ours}.attention.sublayer.{name}"
        theirs[f"{layer}.attention.output.dense"] = f"{ours}.attention.sublayer.output"
        theirs[f"{layer}.attention.self_attn_layer_norm"] = f"{ours}.attention.norm"
        theirs[f"{layer}.intermediate.dense"] = f"{ours}.ffn.sublayer.up"
        theirs[f"{layer}.output.dense"] = f"{ours}.ffn.sublayer.down"
        theirs[f"{layer}.LayerNorm"] = f"{ours}.ffn.norm"
    weights = model.state_dict()
    state = {
        f"{theirs_name}.{kind}": weights[f"{ours}.{kind}"]
        for theirs_name, ours in theirs.items()
        for kind in ("weight", "bias")
        if f"{ours}.{kind}" in weights
    }
    assert len(state) == len(weights), sorted(weights)
    embeddings = "roberta.embeddings"
    state[f"{embeddings}.word_embeddings.weight"] = (
        weights["embedding.weight"] * config.embedding_scale
    )
    # Their positions count from the padding's id + 1.
    unused = torch.zeros(config.pad_id + 1, config.d_model)
    state[f"{embeddings}.position_embeddings.weight"] = torch.cat([unused, model.positions])
    state[f"{embeddings}.token_type_embeddings.weight"] = torch.zeros(1, config.d_model)
    return state


def _hf_config(config: ModelConfig, labels: list[str], first_id: int) -> XLMRobertaXLConfig:
    return XLMRobertaXLConfig(
        vocab_size=config.vocab_size,
        hidden_size=config.d_model,
        num_hidden_layers=config.encoder_layers,
        num_attention_heads=config.encoder_heads,
        intermediate_size=config.encoder_ffn,
        hidden_act=config.activation,
        hidden_dropout_prob=config.dropout,
        attention_probs_dropout_prob=0.0,
        classifier_dropout=config.dropout,
        max_position_embeddings=config.max_positions + config.pad_id + 1,
        type_vocab_size=1,
        layer_norm_eps=1e-5,
        pad_token_id=config.pad_id,
        bos_token_id=first_id,
        eos_token_id=config.eos_id,
        id2label=dict(enumerate(labels)),
        label2id={label: number for number, label in enumerate(labels)},
        problem_type="single_label_classification",
    )
