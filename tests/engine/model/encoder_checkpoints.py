"""A small random checkpoint of each encoder family, written by `transformers`, with a tokenizer.

`FAMILIES[name](folder, head, seed)`; a head is "classification" or "spans".
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer

from tests.engine.model import encoder_tokenizers

LONGEST = 64
LABELS = ("admin", "games", "net", "science")

SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 48,
}

Write = Callable[[Path, str, int], None]


def _write(config: Any, tokenizer: Tokenizer | None, folder: Path, head: str, seed: int) -> None:
    torch.manual_seed(seed)
    if head == "classification":
        config.id2label = dict(enumerate(LABELS))
        config.label2id = {label: number for number, label in enumerate(LABELS)}
        model = transformers.AutoModelForSequenceClassification.from_config(config)
    else:
        model = transformers.AutoModelForQuestionAnswering.from_config(config)
    randomise(model)
    model.save_pretrained(folder)
    if tokenizer is not None:
        encoder_tokenizers.save(tokenizer, folder, LONGEST)


def randomise(model: torch.nn.Module) -> None:
    """Weights so large that inputs matter; no bias or norm keeps its neutral value."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name.lower() and name.endswith("weight"):
                parameter.uniform_(0.5, 1.5)
            elif name.endswith("bias"):
                parameter.normal_(std=0.2)
            else:
                parameter.normal_(std=0.35)


def bert(folder: Path, head: str, seed: int) -> None:
    tokenizer = encoder_tokenizers.word_pieces()
    config = transformers.BertConfig(
        vocab_size=tokenizer.get_vocab_size(), max_position_embeddings=LONGEST, **SIZES
    )
    _write(config, tokenizer, folder, head, seed)


def distilbert(folder: Path, head: str, seed: int) -> None:
    tokenizer = encoder_tokenizers.word_pieces()
    config = transformers.DistilBertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        max_position_embeddings=LONGEST,
        dim=32,
        n_layers=2,
        n_heads=4,
        hidden_dim=48,
    )
    _write(config, tokenizer, folder, head, seed)


def roberta(folder: Path, head: str, seed: int) -> None:
    tokenizer = encoder_tokenizers.byte_pairs()
    config = transformers.RobertaConfig(
        vocab_size=tokenizer.get_vocab_size(),
        max_position_embeddings=LONGEST + 2,
        type_vocab_size=1,
        problem_type="multi_label_classification" if head == "classification" else None,
        **SIZES,
    )
    _write(config, tokenizer, folder, head, seed)


def _xlm(tokenizer: Tokenizer, **choices: Any) -> dict[str, Any]:
    return {
        "vocab_size": tokenizer.get_vocab_size(),
        "max_position_embeddings": LONGEST + 2,
        "type_vocab_size": 1,
        **SIZES,
        **choices,
    }


def _xlm_pieces() -> Tokenizer:
    specials = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    return encoder_tokenizers.pieces(specials, "<s>", "</s>", double=True)


def xlm_roberta(folder: Path, head: str, seed: int) -> None:
    tokenizer = _xlm_pieces()
    config = transformers.XLMRobertaConfig(**_xlm(tokenizer, layer_norm_eps=1e-5))
    _write(config, tokenizer, folder, head, seed)


def camembert(folder: Path, head: str, seed: int) -> None:
    tokenizer = _xlm_pieces()
    config = transformers.CamembertConfig(**_xlm(tokenizer, hidden_act="relu"))
    _write(config, tokenizer, folder, head, seed)


def xlm_roberta_xl(folder: Path, head: str, seed: int) -> None:
    tokenizer = _xlm_pieces()
    config = transformers.XLMRobertaXLConfig(**_xlm(tokenizer))
    _write(config, tokenizer, folder, head, seed)


def albert(folder: Path, head: str, seed: int) -> None:
    specials = ["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer = encoder_tokenizers.pieces(specials, "[CLS]", "[SEP]", double=False)
    config = transformers.AlbertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        max_position_embeddings=LONGEST,
        embedding_size=16,
        inner_group_num=2,
        num_hidden_groups=2,
        **SIZES,
    )
    _write(config, tokenizer, folder, head, seed)


def _electra(folder: Path, head: str, seed: int, embedding_size: int) -> None:
    tokenizer = encoder_tokenizers.word_pieces()
    config = transformers.ElectraConfig(
        vocab_size=tokenizer.get_vocab_size(),
        max_position_embeddings=LONGEST,
        embedding_size=embedding_size,
        **SIZES,
    )
    _write(config, tokenizer, folder, head, seed)


def electra_small(folder: Path, head: str, seed: int) -> None:
    _electra(folder, head, seed, embedding_size=16)


def electra_base(folder: Path, head: str, seed: int) -> None:
    _electra(folder, head, seed, embedding_size=32)


RESIDUES = [*"LAGVSERTIDPKQNFYMHWCXBUZO", ".", "-", "<null_1>", "<mask>"]
MASK_ID = 32


def _esm(folder: Path, head: str, seed: int, **choices: Any) -> None:
    tokens = ["<cls>", "<pad>", "<eos>", "<unk>", *RESIDUES]
    assert tokens[MASK_ID] == "<mask>"
    folder.mkdir(parents=True, exist_ok=True)
    config = transformers.EsmConfig(
        vocab_size=len(tokens),
        max_position_embeddings=LONGEST + 2,
        pad_token_id=1,
        mask_token_id=MASK_ID,
        layer_norm_eps=1e-5,
        **SIZES,
        **choices,
    )
    _write(config, None, folder, head, seed)
    vocabulary = folder / "vocab.txt"
    vocabulary.write_text("\n".join(tokens), encoding="utf-8")
    transformers.EsmTokenizer(str(vocabulary), model_max_length=LONGEST).save_pretrained(folder)


def esm1b(folder: Path, head: str, seed: int) -> None:
    _esm(folder, head, seed, position_embedding_type="absolute", emb_layer_norm_before=True)


def esm2(folder: Path, head: str, seed: int) -> None:
    _esm(folder, head, seed, position_embedding_type="rotary", token_dropout=True)


def _deberta(folder: Path, head: str, seed: int, **choices: Any) -> None:
    specials = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"]
    tokenizer = encoder_tokenizers.pieces(specials, "[CLS]", "[SEP]", double=False)
    config = transformers.DebertaV2Config(
        vocab_size=tokenizer.get_vocab_size(),
        max_position_embeddings=LONGEST,
        relative_attention=True,
        **SIZES,
        **choices,
    )
    _write(config, tokenizer, folder, head, seed)


def deberta_v2(folder: Path, head: str, seed: int) -> None:
    _deberta(
        folder,
        head,
        seed,
        pos_att_type="p2c|c2p",
        max_relative_positions=20,
        type_vocab_size=2,
        embedding_size=16,
    )


def deberta_v3(folder: Path, head: str, seed: int) -> None:
    _deberta(
        folder,
        head,
        seed,
        pos_att_type=["p2c", "c2p"],
        position_buckets=16,
        norm_rel_ebd="layer_norm",
        share_att_key=True,
        position_biased_input=False,
    )


FAMILIES: dict[str, Write] = {
    "bert": bert,
    "distilbert": distilbert,
    "roberta": roberta,
    "xlm-roberta": xlm_roberta,
    "camembert": camembert,
    "xlm-roberta-xl": xlm_roberta_xl,
    "albert": albert,
    "electra-small": electra_small,
    "electra-base": electra_base,
    "esm1b": esm1b,
    "esm2": esm2,
    "deberta-v2": deberta_v2,
    "deberta-v3": deberta_v3,
}

HEADS = {name: ["classification", "spans"] for name in FAMILIES} | {
    "esm1b": ["classification"],
    "esm2": ["classification"],
}
"""What `transformers` has for each: ESM has no head for question answering."""
