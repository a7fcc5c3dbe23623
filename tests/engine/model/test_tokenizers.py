"""The runtime's vocabularies against the checkpoints' own files, id for id, text for text.

What is right is computed by `sentencepiece` and `tokenizers` of the files themselves: the classes
of `transformers` build some tokenizers anew, and both sides would be wrong alike.
"""

import json
import unicodedata
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sentencepiece
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoTokenizer

from engine.contract.manifest import Manifest
from engine.export.source_plan import Wish, plan_source
from engine.model.generation_defaults import GenerationDefaults
from engine.model.tokenizers.samples import TEXTS as SAMPLES
from engine.model.tokenizers.tokenizer import load_tokenizer, save_tokenizer
from engine.runtime.text.detokenizer import Detokenizer
from engine.runtime.text.vocabulary import (
    UnknownLanguageError,
    Vocabulary,
    load_vocabulary,
)
from engine.runtime.text.vocabulary import load_tokenizer as load_runtime_tokenizer
from tests.engine.conftest import read_sources
from tests.engine.model.tokenizer_files import (
    ENCODERS,
    SEQ2SEQ,
    Writer,
    untidy_word_pieces,
    word_pieces,
    words,
)

TEXTS = [
    *read_sources(30),
    *SAMPLES,
    "",
    " ",
    "  two  spaces  inside, before and after  ",
    "tab\tand\nlines\r\n\nand\u00a0no-break\u3000wide",
    "emoji 😀 👩‍👩‍👧 🇫🇷 and text after",
    "cafe\u0301 and café, ﬁne ｆｕｌｌ ①",
    "日本語のテキスト。中文",
    "العربية עברית हिन्दी ไทย",
    "MiXeD CaSe 1,234.56 €",
    '<a href="x">b</a> &amp; {name} %s',
    "\u200b\ufeffzero width\u00ad",
    "word" * 300,
]
SPELLED = [
    "a </s> b <s> <unk> <pad> <mask>",
    "</s>",
    "en_XX ro_RO eng_Latn __en__ __fr__ >>fra<<",
    "<extra_id_0> <mask_1> <mask_2>",
    "[CLS] a [SEP] [MASK] [PAD]",
    "<cls> L <eos>",
]


WITH_PIECES = ("xlm_roberta", "albert", "deberta_v2")
"""Encoders whose checkpoints hold a SentencePiece file."""

OFFSETS = {"pegasus": 2, "mbart": 1, "mbart50": 1, "nllb": 1, "nllb_legacy": 1, "xlm_roberta": 1}
"""What the family adds to SentencePiece's ids, where `vocab.json` does not give others."""

Ids = Callable[[str], list[int]]


def own_ids(name: str, folder: Path) -> Ids:
    """The ids of a text without what stands around it, by the checkpoint's own files."""
    if name == "bart":
        return byte_level_ids(folder)
    file = next(path for path in sorted(folder.iterdir()) if path.suffix in (".model", ".spm"))
    model = sentencepiece.SentencePieceProcessor(model_file=str(file))
    if (folder / "vocab.json").exists():
        numbers = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
        return lambda text: [
            numbers.get(piece, numbers["<unk>"]) for piece in model.encode(text, out_type=str)
        ]
    offset = OFFSETS.get(name, 0)
    unknown = 3 if offset == 1 else model.unk_id() + offset

    def ids(text: str) -> list[int]:
        found = model.encode(as_albert(text) if name == "albert" else text)
        return [unknown if index == model.unk_id() else index + offset for index in found]

    return ids


def as_albert(text: str) -> str:
    """What ALBERT's tokenizer does to a text before SentencePiece gets it."""
    text = unicodedata.normalize("NFKD", text.replace("``", '"').replace("''", '"'))
    return "".join(one for one in text if unicodedata.category(one) != "Mn").lower()


def byte_level_ids(folder: Path) -> Ids:
    built = Tokenizer(models.BPE.from_file(str(folder / "vocab.json"), str(folder / "merges.txt")))
    built.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return lambda text: list(built.encode(text).ids)


def frames(name: str, theirs: Any) -> tuple[list[int], list[int]]:
    """What stands before and after a text of the languages that `SEQ2SEQ` names."""
    number = theirs.convert_tokens_to_ids
    end = number("</s>")
    return {
        "bart": ([0], [2]),
        "mbart": ([], [end, number("en_XX")]),
        "mbart50": ([number("en_XX")], [end]),
        "nllb": ([number("eng_Latn")], [end]),
        "nllb_legacy": ([], [end, number("eng_Latn")]),
        "m2m100": ([number("__en__")], [end]),
        "marian_multi": ([number(">>pt_BR<<")], [end]),
    }.get(name, ([], [end]))


class Small:
    """One tokenizer as `transformers` and as the runtime have it."""

    def __init__(self, name: str, folder: Path) -> None:
        write, self.source, self.target = SEQ2SEQ[name]
        write(folder / "checkpoint")
        tokenizer = load_tokenizer(folder / "checkpoint", 1 << 20)
        # What it says of a text is not asked, only of special tokens, and of an answer's ids.
        self.theirs: Any = AutoTokenizer.from_pretrained(folder / "checkpoint")
        self.own = own_ids(name, folder / "checkpoint")
        files = folder / "files"
        files.mkdir()
        save_tokenizer(tokenizer, files)
        checkpoint: Any = SimpleNamespace(
            folder=folder / "checkpoint",
            hf={},
            generation=GenerationDefaults(),
            family=name,
            languages=None,
        )
        wish = (
            Wish("translation", self.source)
            if self.source
            else Wish("translation", "en", "fr", template="{text}")
        )
        self.plan = plan_source(checkpoint, tokenizer, wish)
        self.files = files
        self.ours = self.vocabulary()
        self.code_ids = tokenizer.codes
        self.prefix, self.suffix = frames(name, self.theirs)

    def vocabulary(self, template: str = "") -> Vocabulary:
        return load_vocabulary(self.files, self.manifest(template))

    def manifest(self, template: str = "") -> Manifest:
        return Manifest(
            name="",
            base_model="",
            task="translation",
            precision="fp32",
            family="",
            checkpoint_sha256="",
            tokenizer_sha256="",
            max_source_tokens=9,
            vocab_size=10,
            pad_id=0,
            **vars(self.plan) | {"template": template},
        )

    def expected(self, text: str) -> list[int]:
        return [*self.prefix, *self.own(text), *self.suffix]


@pytest.fixture(scope="module", params=list(SEQ2SEQ))
def small(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Small:
    return Small(request.param, tmp_path_factory.mktemp(request.param))


def test_ids_equal_those_of_the_file(small: Small) -> None:
    ours = small.ours.encode(TEXTS, small.source, small.target)
    for text, ids in zip(TEXTS, ours, strict=True):
        assert ids == small.expected(text), text


def test_a_template_is_tokenized_with_the_text(small: Small) -> None:
    template = "translate English to French: {text}"
    ours = small.vocabulary(template).encode(TEXTS, small.source, small.target)
    for text, ids in zip(TEXTS, ours, strict=True):
        assert ids == small.expected(template.replace("{text}", text)), text


def test_text_equals_that_of_transformers(small: Small) -> None:
    for text in TEXTS:
        ids = small.own(text)
        ours = Detokenizer(small.ours.token_bytes).push(ids, end=True)
        theirs = small.theirs.decode(
            ids, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        # A stream can't know that a space is the last one, nor that the first is to be kept.
        assert ours.strip(" ") == theirs.strip(" "), text


def test_special_tokens_stand_for_nothing(small: Small) -> None:
    marian = type(small.theirs).__name__ == "MarianTokenizer"
    for index in {*small.theirs.all_special_ids, *small.code_ids.values()}:
        if not (marian and small.code_ids) and index < len(small.ours.token_bytes):
            assert small.ours.token_bytes[index] == b""


def test_a_text_that_spells_a_special_token_stays_text(small: Small) -> None:
    special = {*small.theirs.all_special_ids, *small.code_ids.values()}
    special -= {small.theirs.unk_token_id}
    (frame,) = small.ours.encode([""], small.source, small.target)
    for text, ids in zip(
        SPELLED, small.ours.encode(SPELLED, small.source, small.target), strict=True
    ):
        assert sorted(special & set(ids)) == sorted(special & set(frame)), text
        assert sum(one in special for one in ids) == sum(one in special for one in frame), text


def test_offsets_cover_the_text(small: Small) -> None:
    vocabulary = small.vocabulary("say: {text}")
    for text in TEXTS:
        (ids,) = vocabulary.encode([text], small.source, small.target)
        spans = vocabulary.offsets(text, small.source, small.target)
        assert len(spans) == len(ids), text
        inner = [span for span in spans if span != (0, 0)]
        assert all(0 <= first < last <= len(text) for first, last in inner)
        assert inner == sorted(inner), text
    text = "The café 😀 is small."
    spans = vocabulary.offsets(text, small.source, small.target)
    covered = {index for first, last in spans for index in range(first, last)}
    assert covered == {index for index, one in enumerate(text) if one != " "}


def test_a_prefix_has_no_frame(small: Small) -> None:
    ids = small.ours.encode_prefix("A text editor.", small.target)
    assert not set(ids) & set(small.theirs.all_special_ids)
    assert Detokenizer(small.ours.token_bytes).push(ids, end=True) == "A text editor."


def test_a_language_that_is_not_served_is_named(small: Small) -> None:
    if not small.source:
        assert small.ours.encode(["a"], "xx", "yy") == small.ours.encode(["a"])
        return
    with pytest.raises(UnknownLanguageError, match="'xx'"):
        small.ours.encode(["a"], "xx", "xx")
    with pytest.raises(UnknownLanguageError, match="told a language"):
        small.ours.encode(["a"])


@pytest.mark.parametrize("name", list(ENCODERS))
def test_encoders_tokenize_as_transformers_do(name: str, tmp_path: Path) -> None:
    ENCODERS[name](tmp_path / "checkpoint")
    save_tokenizer(load_tokenizer(tmp_path / "checkpoint", 1 << 20), tmp_path)
    theirs: Any = AutoTokenizer.from_pretrained(tmp_path / "checkpoint")
    own = own_ids(name, tmp_path / "checkpoint") if name in WITH_PIECES else None
    ours = load_runtime_tokenizer(tmp_path)
    proteins = ["MKTAYIAKQR", "MK TA", "mkt", "M1K<null_1>", "XBUZO.-", "L" * 2000]
    for text in [*TEXTS, *proteins]:
        if own is not None:
            assert ours.encode(text, add_special_tokens=False).ids == own(text), text
            continue
        assert ours.encode(text).ids == theirs(text).input_ids, text
        if not text:
            continue  # transformers takes an empty second text for none
        pair = theirs("Who is it?", text)
        encoding = ours.encode("Who is it?", text)
        assert encoding.ids == pair.input_ids, text
        if "token_type_ids" in pair and name != "esm":
            assert encoding.type_ids == pair.token_type_ids, text
    special = set(theirs.all_special_ids) - {theirs.unk_token_id}
    frame = sum(one in special for one in ours.encode("").ids)
    for text in SPELLED:
        assert sum(one in special for one in ours.encode(text).ids) == frame, text


@pytest.mark.parametrize("write", [words, word_pieces, untidy_word_pieces])
def test_tokens_that_are_joined_by_spaces(write: Writer, tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "files").mkdir()
    save_tokenizer(load_tokenizer(tmp_path, 1 << 20), tmp_path / "files")
    theirs = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    small: Any = SimpleNamespace(vocab_size=10, template="", source_format={}, silent_ids=[])
    ours = load_vocabulary(tmp_path / "files", small)
    for text in [*TEXTS[:45], "It's his, isn't it? I'm sure ; they've 'em !"]:
        ids = theirs.encode(text, add_special_tokens=False).ids
        made = Detokenizer(ours.token_bytes).push(ids, end=True)
        expected = theirs.decode(ids, skip_special_tokens=True)
        assert made == expected, text
