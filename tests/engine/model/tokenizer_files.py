"""Small tokenizers of every family, trained here and written as their checkpoints hold them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sentencepiece
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast
from transformers.models.esm.tokenization_esm import EsmTokenizer
from transformers.models.nllb.tokenization_nllb import FAIRSEQ_LANGUAGE_CODES

from tests.engine.conftest import read_sources

SIZE = 400
RESIDUES = "LAGVSERTIDPKQNFYMHWC"


def train_sentence_piece(folder: Path, name: str, kind: str = "unigram", **options: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(read_sources(300)),
        model_prefix=str(folder / "trained"),
        model_type=kind,
        minloglevel=2,
        **{"vocab_size": SIZE, **options},
    )
    (folder / "trained.vocab").unlink()
    return (folder / "trained.model").rename(folder / name)


def pieces_of(model: Path) -> list[str]:
    loaded = sentencepiece.SentencePieceProcessor(model_file=str(model))
    return [loaded.id_to_piece(index) for index in range(loaded.get_piece_size())]


def write_config(folder: Path, model_type: str, **tokenizer: object) -> None:
    config = json.dumps({"model_type": model_type})
    (folder / "config.json").write_text(config, encoding="utf-8")
    if tokenizer:
        text = json.dumps(tokenizer)
        (folder / "tokenizer_config.json").write_text(text, encoding="utf-8")


def t5(folder: Path) -> None:
    ids = {"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1}
    train_sentence_piece(folder, "spiece.model", **ids)
    write_config(folder, "t5", tokenizer_class="T5Tokenizer")


def pegasus(folder: Path) -> None:
    ids = {"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1}
    train_sentence_piece(folder, "spiece.model", user_defined_symbols="<mask_1>,<mask_2>", **ids)
    write_config(folder, "pegasus", tokenizer_class="PegasusTokenizer", offset=0)


def mbart(folder: Path) -> None:
    train_sentence_piece(folder, "sentencepiece.bpe.model")
    write_config(folder, "mbart", tokenizer_class="MBartTokenizer")


def mbart50(folder: Path) -> None:
    train_sentence_piece(folder, "sentencepiece.bpe.model")
    write_config(folder, "mbart", tokenizer_class="MBart50Tokenizer")


def nllb(folder: Path) -> None:
    train_sentence_piece(folder, "sentencepiece.bpe.model", "bpe")
    _write_nllb_config(folder)


def nllb_legacy(folder: Path) -> None:
    train_sentence_piece(folder, "sentencepiece.bpe.model", "bpe")
    _write_nllb_config(folder, legacy_behaviour=True)


def _write_nllb_config(folder: Path, **settings: object) -> None:
    codes = {"extra_special_tokens": FAIRSEQ_LANGUAGE_CODES}
    write_config(folder, "m2m_100", tokenizer_class="NllbTokenizer", **codes, **settings)


def m2m100(folder: Path) -> None:
    model = train_sentence_piece(folder, "sentencepiece.bpe.model", "bpe")
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    # The numbers of vocab.json are not those of the model: it is written backwards.
    numbers = [*special, *(piece for piece in reversed(pieces_of(model)) if piece not in special)]
    _write_numbers(folder, numbers)
    write_config(folder, "m2m_100", tokenizer_class="M2M100Tokenizer")


def marian(folder: Path, *codes: str) -> None:
    for name in ("source.spm", "target.spm"):
        model = train_sentence_piece(folder, name, bos_id=-1, eos_id=0, unk_id=1)
    _write_numbers(folder, [*pieces_of(model), *codes, "<pad>"])
    write_config(folder, "marian", source_lang="en", target_lang="fr")


def marian_multi(folder: Path) -> None:
    marian(folder, ">>fra<<", ">>por<<", ">>pt_BR<<")


def bart(folder: Path) -> None:
    _byte_level(folder)
    write_config(folder, "bart")


def roberta(folder: Path) -> None:
    _byte_level(folder)
    write_config(folder, "roberta")


def bert(folder: Path) -> None:
    folder.mkdir(parents=True)
    trainer = trainers.WordPieceTrainer(
        vocab_size=SIZE,
        special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"],
        show_progress=False,
    )
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.train_from_iterator((text.lower() for text in read_sources(300)), trainer)
    numbers = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    (folder / "vocab.txt").write_text("\n".join(piece for piece, _ in numbers), encoding="utf-8")
    write_config(folder, "bert")


def distilbert(folder: Path) -> None:
    bert(folder)
    write_config(folder, "distilbert")


def electra(folder: Path) -> None:
    bert(folder)
    write_config(folder, "electra")


def albert(folder: Path) -> None:
    symbols = {"control_symbols": "[CLS],[SEP],[MASK]", "bos_id": -1, "eos_id": -1}
    train_sentence_piece(folder, "spiece.model", pad_id=0, unk_id=1, **symbols)
    write_config(folder, "albert")


def xlm_roberta(folder: Path) -> None:
    train_sentence_piece(folder, "sentencepiece.bpe.model")
    write_config(folder, "xlm-roberta")


def deberta_v2(folder: Path) -> None:
    pieces = {
        "pad_piece": "[PAD]",
        "bos_piece": "[CLS]",
        "eos_piece": "[SEP]",
        "unk_piece": "[UNK]",
    }
    ids = {"pad_id": 0, "bos_id": 1, "eos_id": 2, "unk_id": 3}
    train_sentence_piece(folder, "spm.model", **pieces, **ids)
    write_config(folder, "deberta-v2")


def esm(folder: Path) -> None:
    folder.mkdir(parents=True)
    tokens = ["<cls>", "<pad>", "<eos>", "<unk>", *RESIDUES, "X", "B", "U", "Z", "O", ".", "-"]
    text = "\n".join([*tokens, "<null_1>", "<mask>"])
    (folder / "vocab.txt").write_text(text, encoding="utf-8")
    EsmTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    write_config(folder, "esm", tokenizer_class="EsmTokenizer")


def _write_numbers(folder: Path, pieces: list[str]) -> None:
    numbers = {piece: index for index, piece in enumerate(pieces)}
    (folder / "vocab.json").write_text(json.dumps(numbers), encoding="utf-8")


def _byte_level(folder: Path) -> None:
    folder.mkdir(parents=True)
    trainer = trainers.BpeTrainer(
        vocab_size=SIZE,
        special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.train_from_iterator(read_sources(300), trainer)
    tokenizer.model.save(str(folder))


def words(folder: Path) -> None:
    """What is often made by hand: whole words, and nothing that puts them together again."""
    tokenizer = Tokenizer(models.WordLevel(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    _plain(folder, tokenizer, trainers.WordLevelTrainer)


def word_pieces(folder: Path) -> None:
    tokenizer = Tokenizer(models.WordPiece(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    _plain(folder, tokenizer, trainers.WordPieceTrainer)


def untidy_word_pieces(folder: Path) -> None:
    tokenizer = Tokenizer(models.WordPiece(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(cleanup=False)
    _plain(folder, tokenizer, trainers.WordPieceTrainer)


def _plain(folder: Path, tokenizer: Tokenizer, trainer: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    specials = ["<s>", "<pad>", "</s>", "<unk>"]
    training = trainer(vocab_size=SIZE, special_tokens=specials, show_progress=False)
    tokenizer.train_from_iterator(read_sources(300), training)
    names = dict(zip(("bos_token", "pad_token", "eos_token", "unk_token"), specials, strict=True))
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder)
    write_config(folder, "bart")


Writer = Callable[[Path], None]

# With the language pair that its tests use; "" where a source has no language code.
SEQ2SEQ: dict[str, tuple[Writer, str, str]] = {
    "t5": (t5, "", ""),
    "pegasus": (pegasus, "", ""),
    "bart": (bart, "", ""),
    "mbart": (mbart, "en", "ro"),
    "mbart50": (mbart50, "en", "ro"),
    "nllb": (nllb, "en", "zh-Hans"),
    "nllb_legacy": (nllb_legacy, "en", "fr"),
    "m2m100": (m2m100, "en", "fr"),
    "marian": (marian, "", ""),
    "marian_multi": (marian_multi, "en", "pt-BR"),
}

ENCODERS: dict[str, Writer] = {
    "bert": bert,
    "distilbert": distilbert,
    "electra": electra,
    "roberta": roberta,
    "xlm_roberta": xlm_roberta,
    "albert": albert,
    "deberta_v2": deberta_v2,
    "esm": esm,
}
