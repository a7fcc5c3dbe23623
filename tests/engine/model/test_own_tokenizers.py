"""Tokenizers that `transformers` 5 would build anew: what counts is the checkpoint's own file.

Whatever class is declared, the ids are those that `tokenizers` or `sentencepiece` makes of the
file, or the checkpoint is refused.
"""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sentencepiece
from tokenizers import (
    AddedToken,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import AutoTokenizer

from engine.contract.manifest import Manifest
from engine.export.gates.tokenizer import check_encoder_tokenizer, check_tokenizer
from engine.export.source_plan import Wish, plan_source
from engine.model.checkpoint import CheckpointError
from engine.model.generation_defaults import GenerationDefaults
from engine.model.tokenizers.samples import TEXTS
from engine.model.tokenizers.tokenizer import load_tokenizer, save_tokenizer
from engine.runtime.text.detokenizer import Detokenizer
from engine.runtime.text.vocabulary import Vocabulary, load_vocabulary
from engine.runtime.text.vocabulary import load_tokenizer as load_runtime_tokenizer
from tests.engine.conftest import read_sources
from tests.engine.model import tokenizer_files

SPECIALS = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
BERTS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def unigram(specials: list[str] = SPECIALS, unknown: str = "<unk>") -> Tokenizer:
    built = Tokenizer(models.Unigram())
    built.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    built.pre_tokenizer = pre_tokenizers.Metaspace()
    built.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=300, special_tokens=specials, unk_token=unknown, show_progress=False
    )
    built.train_from_iterator(read_sources(300), trainer)
    return between(built, specials[0] if specials is SPECIALS else "[CLS]")


def between(built: Tokenizer, first: str) -> Tokenizer:
    last = "</s>" if first == "<s>" else "[SEP]"
    built.post_processor = processors.TemplateProcessing(
        single=f"{first} $A {last}",
        pair=f"{first} $A {last} {last} $B {last}",
        special_tokens=[(token, built.token_to_id(token)) for token in (first, last)],
    )
    return built


def byte_level(normalizer: Any = None) -> Tokenizer:
    built = Tokenizer(models.BPE())
    if normalizer is not None:
        built.normalizer = normalizer
    built.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=SPECIALS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    built.train_from_iterator(read_sources(300), trainer)
    built.decoder = decoders.ByteLevel()
    return between(built, "<s>")


def word_pieces(**choices: Any) -> Tokenizer:
    built = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    built.normalizer = normalizers.BertNormalizer(**choices)
    built.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    built.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(vocab_size=400, special_tokens=BERTS, show_progress=False)
    built.train_from_iterator([*read_sources(300), "école École naïve"] * 2, trainer)
    return between(built, "[CLS]")


def truncating(built: Tokenizer) -> Tokenizer:
    built.enable_truncation(8)
    built.enable_padding(length=8)
    return built


# The family, the class that is declared ("" is none), and the file.
DECLARED: dict[str, tuple[str, str, Callable[[], Tokenizer]]] = {
    "bert-unigram": ("bert", "BertTokenizer", lambda: unigram(BERTS, "[UNK]")),
    "bert-unigram-undeclared": ("bert", "", lambda: unigram(BERTS, "[UNK]")),
    "xlm-roberta-as-roberta": ("xlm-roberta", "RobertaTokenizer", unigram),
    "roberta-as-xlm-roberta": ("roberta", "XLMRobertaTokenizerFast", byte_level),
    "bert-keeps-accents": (
        "bert",
        "BertTokenizer",
        lambda: word_pieces(lowercase=True, strip_accents=False),
    ),
    "bert-cased": ("bert", "BertTokenizerFast", lambda: word_pieces(lowercase=False)),
    "distilbert-no-chinese": (
        "distilbert",
        "DistilBertTokenizer",
        lambda: word_pieces(handle_chinese_chars=False),
    ),
    "albert-bpe": ("albert", "AlbertTokenizer", byte_level),
    "deberta-unigram": ("deberta-v2", "DebertaV2Tokenizer", lambda: unigram(BERTS, "[UNK]")),
    "truncating": ("bert", "BertTokenizer", lambda: truncating(word_pieces())),
}

SEQ2SEQ: dict[str, tuple[str, str, Callable[[], Tokenizer]]] = {
    "bart-lower-cases": ("bart", "BartTokenizer", lambda: byte_level(normalizers.Lowercase())),
    "bart-unigram": ("bart", "BartTokenizerFast", unigram),
    "t5-byte-level": ("t5", "T5Tokenizer", byte_level),
    "pegasus-unigram": ("pegasus", "PegasusTokenizer", unigram),
    "truncating": ("bart", "BartTokenizer", lambda: truncating(byte_level())),
}


def write(folder: Path, family: str, declared: str, built: Tokenizer, **config: Any) -> Path:
    folder.mkdir(parents=True)
    built.save(str(folder / "tokenizer.json"))
    stated = {"tokenizer_class": declared} if declared else {}
    tokenizer_files.write_config(folder, family, **stated, **config)
    return folder


def saved(folder: Path, vocab_size: int = 1 << 20) -> Path:
    """The files of a variant with the checkpoint's tokenizer."""
    files = folder / "files"
    files.mkdir()
    save_tokenizer(load_tokenizer(folder, vocab_size), files)
    return files


def served(folder: Path, vocab_size: int = 1 << 20, **wish: str) -> Vocabulary:
    """The vocabulary of a variant that translates, checked as an import does it."""
    tokenizer = load_tokenizer(folder, vocab_size)
    files = folder / "files"
    files.mkdir()
    save_tokenizer(tokenizer, files)
    hf = json.loads((folder / "config.json").read_text())
    checkpoint: Any = SimpleNamespace(
        folder=folder, hf=hf, generation=GenerationDefaults(), family="", languages=None
    )
    plan = plan_source(checkpoint, tokenizer, Wish("translation", **wish, template="{text}"))
    manifest = Manifest(
        *("", "", "translation", "fp32", "", "", ""),
        max_source_tokens=9,
        vocab_size=10,
        pad_id=0,
        silent_ids=list(tokenizer.silent_ids),
        **vars(plan),
    )
    check_tokenizer(tokenizer, manifest, files)
    return load_vocabulary(files, manifest)


@pytest.mark.parametrize("name", list(DECLARED))
def test_an_encoder_reads_by_its_own_file(name: str, tmp_path: Path) -> None:
    family, declared, build = DECLARED[name]
    built = build()
    folder = write(tmp_path / "c", family, declared, built)
    files = saved(folder)
    check_encoder_tokenizer(load_tokenizer(folder, 1 << 20), files, 2, pairs=True)
    ours = load_runtime_tokenizer(files)
    built.no_truncation()
    built.no_padding()
    for text in [*TEXTS, *read_sources(20)]:
        assert ours.encode(text).ids == built.encode(text).ids, text
        assert ours.encode("Who?", text).ids == built.encode("Who?", text).ids, text
    assert len(set(ours.encode("The small editor opens many files.").ids)) > 4


@pytest.mark.parametrize("name", list(SEQ2SEQ))
def test_an_encoder_decoder_reads_by_its_own_file(name: str, tmp_path: Path) -> None:
    family, declared, build = SEQ2SEQ[name]
    built = build()
    ours = served(write(tmp_path / "c", family, declared, built), source="en", target="fr")
    built.no_truncation()
    built.no_padding()
    texts = [*TEXTS, *read_sources(20)]
    for text, ids in zip(texts, ours.encode(texts), strict=True):
        assert ids == built.encode(text).ids, text


def test_a_class_that_transformers_builds_anew_differs(tmp_path: Path) -> None:
    """So that these tests have something to find."""
    built = unigram(BERTS, "[UNK]")
    folder = write(tmp_path / "c", "bert", "BertTokenizer", built)
    text = "The small editor."
    assert AutoTokenizer.from_pretrained(folder)(text).input_ids != built.encode(text).ids


def test_types_that_the_model_has_not_are_refused(tmp_path: Path) -> None:
    built = word_pieces()
    built.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    folder = write(tmp_path / "c", "roberta", "BertTokenizer", built)
    tokenizer, files = load_tokenizer(folder, 1 << 20), saved(folder)
    check_encoder_tokenizer(tokenizer, files, 1, pairs=False)
    check_encoder_tokenizer(tokenizer, files, 0, pairs=True)
    with pytest.raises(CheckpointError, match="tokens the type 1, and the model has 1 only"):
        check_encoder_tokenizer(tokenizer, files, 1, pairs=True)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"model": {"type": "Unigram", "unk_id": None, "vocab": [["b", -1.0]]}}, "can't be run"),
        ({"model": {"type": "Novel", "vocab": {}}}, "no tokenizer that can be loaded"),
        ({"normalizer": {"type": "Precompiled", "precompiled_charsmap": "AAAA"}}, "loaded"),
        ({"pre_tokenizer": {"type": "Unheard"}}, "no tokenizer that can be loaded"),
    ],
)
def test_a_file_that_can_not_be_run_is_told(
    tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    folder = write(tmp_path / "c", "bart", "BartTokenizer", byte_level())
    content = json.loads((folder / "tokenizer.json").read_text()) | change
    (folder / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match=reason):
        load_tokenizer(folder, 1 << 20)


# ---- SentencePiece files


def spiece(folder: Path, family: str, declared: str, **options: Any) -> tuple[Path, Any]:
    name = "spm.model" if family == "deberta-v2" else "spiece.model"
    if family in ("xlm-roberta", "mbart", "camembert"):
        name = "sentencepiece.bpe.model"
    model = tokenizer_files.train_sentence_piece(folder, name, **options)
    tokenizer_files.write_config(folder, family, tokenizer_class=declared)
    return folder, sentencepiece.SentencePieceProcessor(model_file=str(model))


def test_t5_with_the_usual_ids_of_sentence_piece_has_no_end_inside_a_source(
    tmp_path: Path,
) -> None:
    folder, model = spiece(tmp_path / "c", "t5", "T5Tokenizer")
    assert (model.unk_id(), model.eos_id()) == (0, 2)
    ours = served(folder, source="en", target="fr")
    for text, ids in zip(TEXTS, ours.encode(TEXTS), strict=True):
        assert ids == [*model.encode(text), 2], text
        assert 2 not in ids[:-1]
    assert ours.encode(["\ue000"])[0][-2] == 0


RULES: list[dict[str, Any]] = [
    {"normalization_rule_name": "identity"},
    {"normalization_rule_name": "nmt_nfkc_cf"},
    {"remove_extra_whitespaces": False},
    {"add_dummy_prefix": False},
    {"byte_fallback": True, "vocab_size": 600},
    {"split_by_whitespace": False},
    {"user_defined_symbols": "<ent>,@@"},
    {"kind": "bpe", "normalization_rule_name": "identity"},
    {"kind": "bpe", "remove_extra_whitespaces": False},
]


@pytest.mark.parametrize("options", RULES, ids=lambda options: "-".join(map(str, options.values())))
def test_the_rules_of_a_sentence_piece_file_hold(options: dict[str, Any], tmp_path: Path) -> None:
    options = dict(options)
    if options.get("kind") == "bpe":
        # NLLB's, whose ids are one more.
        folder = tmp_path / "c"
        path = tokenizer_files.train_sentence_piece(folder, "sentencepiece.bpe.model", **options)
        codes = {"extra_special_tokens": ["eng_Latn", "fra_Latn"]}
        tokenizer_files.write_config(folder, "m2m_100", tokenizer_class="NllbTokenizer", **codes)
        model = sentencepiece.SentencePieceProcessor(model_file=str(path))
        ours = served(folder, source="en", target="fr")
        rows = ours.encode(TEXTS, "en", "fr")
        for text, ids in zip(TEXTS, rows, strict=True):
            expected = [3 if index == 0 else index + 1 for index in model.encode(text)]
            assert ids[1:-1] == expected, text
        return
    folder, model = spiece(tmp_path / "c", "t5", "T5Tokenizer", **options)
    ours = served(folder, source="en", target="fr")
    texts = [*TEXTS, *read_sources(20), "a @@ b@@c"]
    for text, ids in zip(texts, ours.encode(texts), strict=True):
        assert ids == [*model.encode(text), 2], text


@pytest.mark.parametrize(
    ("family", "declared", "offset"),
    [("xlm-roberta", "XLMRobertaTokenizer", 1), ("camembert", "CamembertTokenizer", 4)],
)
def test_an_encoder_with_a_sentence_piece_file(
    family: str, declared: str, offset: int, tmp_path: Path
) -> None:
    folder, model = spiece(tmp_path / "c", family, declared)
    files = saved(folder)
    check_encoder_tokenizer(load_tokenizer(folder, 1 << 20), files, 2, pairs=True)
    ours = load_runtime_tokenizer(files)
    for text in [*TEXTS, *read_sources(20)]:
        found = ours.encode(text, add_special_tokens=False).ids
        expected = [3 if i == 0 else i + offset for i in model.encode(text)]
        assert found == expected, text


def test_pieces_that_can_not_be_made_are_refused(tmp_path: Path) -> None:
    folder, _ = spiece(tmp_path / "c", "t5", "T5Tokenizer", treat_whitespace_as_suffix=True)
    with pytest.raises(CheckpointError, match=r"SentencePiece, and would become .*tokenizer\.json"):
        load_tokenizer(folder, 1 << 20)


def test_a_tokenizer_json_that_contradicts_the_pieces_is_refused(tmp_path: Path) -> None:
    tokenizer_files.marian(tmp_path / "c")
    unigram().save(str(tmp_path / "c" / "tokenizer.json"))
    with pytest.raises(CheckpointError, match=r"tokenizer\.json makes other ids than source\.spm"):
        load_tokenizer(tmp_path / "c", 1 << 20)


# ---- added tokens


def test_marians_added_tokens_are_kept(tmp_path: Path) -> None:
    folder = tmp_path / "c"
    tokenizer_files.marian(folder)
    added = {"<ent>": 401, "<ent2>": 402, "<tag>": 403}
    (folder / "added_tokens.json").write_text(json.dumps(added))
    special = {"additional_special_tokens": ["<tag>"]}
    (folder / "special_tokens_map.json").write_text(json.dumps(special))
    tokenizer_files.write_config(folder, "marian", **special, source_lang="en", target_lang="fr")
    ours = served(folder, 500)
    model = sentencepiece.SentencePieceProcessor(model_file=str(folder / "source.spm"))
    numbers = json.loads((folder / "vocab.json").read_text())

    def own(text: str) -> list[int]:
        return [numbers.get(piece, 1) for piece in model.encode(text, out_type=str)]

    text = "See <ent> and<ent2>files <tag>."
    expected = [*own("See "), 401, *own(" and"), 402, *own("files "), 403, *own("."), 0]
    assert ours.encode([text]) == [expected]
    assert AutoTokenizer.from_pretrained(folder)(text).input_ids == expected
    assert Detokenizer(ours.token_bytes).push([*own("See"), 401, 403], end=True) == "See<ent>"
    spans = ours.offsets(text)
    assert len(spans) == len(expected)
    for token, index in added.items():
        first, last = spans[expected.index(index)]
        assert text[first:last] == token
    assert ours.encode_prefix("a <ent>")[-1] == 401


def test_m2m100s_added_tokens_are_kept(tmp_path: Path) -> None:
    tokenizer_files.m2m100(tmp_path / "c")
    size = 401 + 100
    (tmp_path / "c" / "added_tokens.json").write_text(json.dumps({"<ent>": size}))
    ours = served(tmp_path / "c", size + 8, source="en", target="fr")
    (ids,) = ours.encode(["a <ent> b"], "en", "fr")
    assert size in ids
    assert ours.token_bytes[size] == b"<ent>"


@pytest.mark.parametrize("special", [False, True])
@pytest.mark.parametrize("name", list(SEQ2SEQ))
def test_added_tokens_of_a_tokenizer_json(name: str, special: bool, tmp_path: Path) -> None:
    family, declared, build = SEQ2SEQ[name]
    built = build()
    built.add_tokens([AddedToken("<ent>", special=special, normalized=False)])
    built.no_truncation()
    built.no_padding()
    ours = served(write(tmp_path / "c", family, declared, built), source="en", target="fr")
    index = built.token_to_id("<ent>")
    text = "The <ent> and<ent>here"
    assert ours.encode([text]) == [built.encode(text).ids]
    assert built.encode(text).ids.count(index) == 2
    assert ours.token_bytes[index] == (b"" if special else b"<ent>")


def test_added_tokens_beside_a_tokenizer_json(tmp_path: Path) -> None:
    built = byte_level()
    size = built.get_vocab_size()
    folder = write(tmp_path / "c", "bart", "BartTokenizer", built)
    (folder / "added_tokens.json").write_text(json.dumps({"<ent>": size}))
    assert size in served(folder, source="en", target="fr").encode(["a <ent>"])[0]
    (folder / "added_tokens.json").write_text(json.dumps({"<ent>": size + 7}))
    with pytest.raises(CheckpointError, match=rf"'<ent>' has the id {size + 7} .* get {size}"):
        load_tokenizer(folder, 1 << 20)


OLDER: dict[str, dict[str, Any]] = {
    "t5": {
        "added_tokens_decoder": {
            "0": {"content": "<pad>", "special": True},
            "1": {"content": "</s>", "special": True},
            **{str(499 - i): {"content": f"<extra_id_{i}>", "special": True} for i in range(100)},
            "500": {"content": "<ent>", "special": False},
        }
    },
    "pegasus": {
        "mask_token": "<mask_2>",
        "mask_token_sent": "<mask_1>",
        "added_tokens_decoder": {
            "2": {"content": "<mask_1>", "special": True},
            "3": {"content": "<mask_2>", "special": True},
            "500": {"content": "<ent>", "special": False},
        },
    },
}


@pytest.mark.parametrize("form", ["decoder", "file"])
@pytest.mark.parametrize("name", list(OLDER))
def test_added_tokens_beside_a_sentence_piece_file(name: str, form: str, tmp_path: Path) -> None:
    """As `transformers` 4 wrote its slow tokenizers: the pieces, and all other tokens with ids."""
    folder, size = tmp_path / "c", {"t5": 400 + 100, "pegasus": 402 + 101}[name]
    pieces = {"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1}
    path = tokenizer_files.train_sentence_piece(folder, "spiece.model", **pieces)
    stated = json.loads(json.dumps(OLDER[name]))
    decoder = stated.pop("added_tokens_decoder")
    decoder[str(size)] = decoder.pop("500")
    if form == "decoder":
        stated["added_tokens_decoder"] = decoder
    else:
        added = {token["content"]: int(index) for index, token in decoder.items()}
        (folder / "added_tokens.json").write_text(json.dumps(added))
    declared = "T5Tokenizer" if name == "t5" else "PegasusTokenizer"
    tokenizer_files.write_config(folder, name, tokenizer_class=declared, **stated)
    ours = served(folder, size + 1, source="en", target="fr")
    model = sentencepiece.SentencePieceProcessor(model_file=str(path))
    shift = 0 if name == "t5" else 103
    (ids,) = ours.encode(["The small <ent> editor"])
    bare = [[index + shift for index in model.encode(part)] for part in ("The small", "editor")]
    assert ids == [*bare[0], size, *bare[1], 1]


@pytest.mark.parametrize("extra", [0, 10])
def test_t5s_extra_ids(extra: int, tmp_path: Path) -> None:
    folder = tmp_path / "c"
    tokenizer_files.t5(folder)
    tokenizer_files.write_config(folder, "t5", tokenizer_class="T5Tokenizer", extra_ids=extra)
    ours = served(folder, 400 + extra, source="en", target="fr")
    (ids,) = ours.encode(["a <extra_id_0> b"])
    assert max(ids) < 400


# ---- trimmed to few languages


def test_a_trimmed_nllb_offers_the_languages_that_it_has(tmp_path: Path) -> None:
    built = unigram()
    built.add_special_tokens(["eng_Latn", "fra_Latn", "xyz_Latn"])
    folder = write(tmp_path / "c", "m2m_100", "NllbTokenizer", built)
    size = built.get_vocab_size()
    assert set(load_tokenizer(folder, size).codes) == {"eng_Latn", "fra_Latn", "xyz_Latn"}
    (ids,) = served(folder, size, source="en", target="fr").encode(["a"], "en", "fr")
    code = built.token_to_id("eng_Latn")
    assert ids == [code, *built.encode("a", add_special_tokens=False).ids, 2]


@pytest.mark.parametrize("declared", ["MBartTokenizer", "MBart50Tokenizer"])
def test_a_trimmed_mbart_keeps_the_tokenizer_of_many_languages(
    declared: str, tmp_path: Path
) -> None:
    built = unigram()
    built.add_special_tokens(["en_XX", "ro_RO", "fr_XX", "de_DE"])
    size = built.get_vocab_size() - 2
    folder = write(tmp_path / "c", "mbart", declared, built)
    assert set(load_tokenizer(folder, size).codes) == {"en_XX", "ro_RO"}
    ours = served(folder, size, source="en", target="ro")
    bare = built.encode("a", add_special_tokens=False).ids
    code = built.token_to_id("en_XX")
    expected = [*bare, 2, code] if declared == "MBartTokenizer" else [code, *bare, 2]
    assert ours.encode(["a"], "en", "ro") == [expected]


def test_a_trimmed_m2m100_offers_the_languages_that_it_has(tmp_path: Path) -> None:
    tokenizer_files.m2m100(tmp_path / "c")
    codes = load_tokenizer(tmp_path / "c", 401 + 30).codes
    assert len(codes) == 30
    assert max(codes.values()) == 430


def test_a_text_never_becomes_a_code_that_is_not_marked_as_special(tmp_path: Path) -> None:
    vocab = [(piece, 0.0) for piece in (*SPECIALS, "en_XX", "ro_RO")]
    built = Tokenizer(models.Unigram([*vocab, ("▁", -2.0), *((c, -3.0) for c in "abcen_XRO")], 3))
    built.pre_tokenizer = pre_tokenizers.Metaspace()
    built.decoder = decoders.Metaspace()
    ours = served(write(tmp_path / "c", "mbart", "MBart50Tokenizer", built), source="en")
    (ids,) = ours.encode(["en_XX </s> ro_RO"], "en", "ro")
    assert ids[0] == 5
    assert not {2, 5, 6} & set(ids[1:-1])
