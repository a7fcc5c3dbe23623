"""Small tokenizers of the kinds that encoder families have, trained on package descriptions."""

import json
from functools import cache
from pathlib import Path

from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import PreTrainedTokenizerFast

TEXTS = Path(__file__).parents[3] / "examples" / "data" / "en-fr.test.jsonl"
VOCABULARY = 300


@cache
def texts(count: int = 300) -> list[str]:
    lines = TEXTS.read_text(encoding="utf-8").splitlines()[:count]
    return [json.loads(line)["source"] for line in lines]


def word_pieces() -> Tokenizer:
    """BERT's: lower case, "##" inside words."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = trainers.WordPieceTrainer(vocab_size=VOCABULARY, special_tokens=specials)
    tokenizer.train_from_iterator(texts(), trainer)
    tokenizer.decoder = decoders.WordPiece()
    return _between(tokenizer, "[CLS]", "[SEP]", types=True)


def byte_pairs() -> Tokenizer:
    """RoBERTa's: bytes, a space belongs to the word after it."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    specials = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY + 100,
        special_tokens=specials,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(texts(), trainer)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.RobertaProcessing(
        ("</s>", 2), ("<s>", 0), trim_offsets=True, add_prefix_space=False
    )
    return tokenizer


def pieces(specials: list[str], first: str, last: str, *, double: bool) -> Tokenizer:
    """SentencePiece's: "▁" begins a word; `double` puts two `last` between question and context."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    unknown = next(token for token in specials if "unk" in token.lower())
    trainer = trainers.UnigramTrainer(
        vocab_size=VOCABULARY, special_tokens=specials, unk_token=unknown
    )
    tokenizer.train_from_iterator(texts(), trainer)
    tokenizer.decoder = decoders.Metaspace()
    return _between(tokenizer, first, last, types=not double, double=double)


def _between(
    tokenizer: Tokenizer, first: str, last: str, *, types: bool, double: bool = False
) -> Tokenizer:
    second = 1 if types else 0
    middle = f"{last}:0 {last}:0" if double else f"{last}:0"
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{first}:0 $A:0 {last}:0",
        pair=f"{first}:0 $A:0 {middle} $B:{second} {last}:{second}",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in (first, last)],
    )
    return tokenizer


def save(tokenizer: Tokenizer, folder: Path, longest: int) -> None:
    """Writes it as `transformers` does."""
    names = {token.content: token for token in tokenizer.get_added_tokens_decoder().values()}
    find = {
        "pad_token": ("[PAD]", "<pad>"),
        "unk_token": ("[UNK]", "<unk>"),
        "cls_token": ("[CLS]", "<s>"),
        "sep_token": ("[SEP]", "</s>"),
        "mask_token": ("[MASK]", "<mask>"),
    }
    specials = {
        role: next(token for token in tokens if token in names) for role, tokens in find.items()
    }
    types = ["token_type_ids"] if any(tokenizer.encode("a", "b").type_ids) else []
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=longest,
        model_input_names=["input_ids", *types, "attention_mask"],
        **specials,
    ).save_pretrained(folder)
