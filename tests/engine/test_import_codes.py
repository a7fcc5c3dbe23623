"""`seqway-models import` of checkpoints that name many languages, each in a way of its own."""

import json
import shutil
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from engine.contract.languages import language_distance
from engine.model.card import stated_sources
from engine.runtime.text.vocabulary import load_vocabulary
from tests.engine.model.seq2seq_checkpoints import write_madlad, write_marian
from tests.engine.test_import import Made, imported, made, repository, run, told
from tests.engine.test_import import _change as change

__all__ = ["made", "repository"]


@pytest.fixture(scope="module")
def marian(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An OPUS-MT checkpoint that does not tell its languages."""
    folder = tmp_path_factory.mktemp("marian") / "marian"
    write_marian(folder, 1)
    change(folder / "tokenizer_config.json", source_lang=None, target_lang=None)
    return folder


def _copy(marian: Path, folder: Path, card: str) -> Path:
    shutil.copytree(marian, folder)
    (folder / "README.md").write_text(card)
    return folder


OLD_CARD = """---
language:
- roa
- en
---
### opus-mt-ROMANCE-en

* source languages: fr,fr_BE,fr_CA,wa,pt,pt_br,es,es_AR,roa_xx_yy_zz
* target languages: en
"""
NEW_CARD = """### mul-eng

* source group: Multiple languages
* source language(s): abk zho cmn_Hans cmn_Hant nob nno por
* target language(s): eng
"""
METADATA = """---
language:
- ca
- no
- en
- it
tags:
- translation
---
"""


@pytest.mark.parametrize(
    ("name", "card", "sources"),
    [
        ("opus-mt-ROMANCE-en", OLD_CARD, {"fr", "wa", "pt", "es"}),
        ("opus-mt-mul-en", NEW_CARD, {"ab", "zh", "zh-Hant", "nb", "nn", "pt"}),
        ("opus-mt-mul-en", METADATA, {"ca", "nb", "it"}),
    ],
)
def test_a_group_is_the_languages_of_the_card(
    tmp_path: Path, repository: Path, marian: Path, name: str, card: str, sources: set[str]
) -> None:
    manifest = imported(_copy(marian, tmp_path / name, card), repository)
    assert manifest.task == "translation"
    assert {source for source, _ in manifest.language_pairs} == sources
    assert {target for _, target in manifest.language_pairs} == {"en"}


def test_several_sources_may_be_given(tmp_path: Path, repository: Path, marian: Path) -> None:
    folder = _copy(marian, tmp_path / "opus-mt-ROMANCE-en", "")
    result = run(folder, "--model-repository", repository)
    assert "does not tell its languages: give --source and --target" in told(result)
    manifest = imported(folder, repository, "--source", "fra, pt_BR,es")
    assert manifest.language_pairs == (("fr", "en"), ("pt-BR", "en"), ("es", "en"))


def test_targets_of_opus_are_told_apart(tmp_path: Path, repository: Path, marian: Path) -> None:
    folder = _copy(marian, tmp_path / "opus-mt-tc-big-en-pt", "")
    numbers = json.loads((folder / "vocab.json").read_text())
    codes = [">>pob<<", ">>por<<", ">>cmn_Hans<<", ">>cmn_Hant<<", ">>nor<<", ">>no_such<<"]
    pieces = sorted(numbers, key=numbers.__getitem__)[-7:-1]
    renamed = dict(zip(pieces, codes, strict=True))
    changed = {renamed.get(piece, piece): index for piece, index in numbers.items()}
    (folder / "vocab.json").write_text(json.dumps(changed))
    manifest = imported(folder, repository)
    assert manifest.source_languages == ("en",)
    assert manifest.language_codes == {
        "pt-BR": ">>pob<<",
        "pt": ">>por<<",
        "zh-Hans": ">>cmn_Hans<<",
        "zh-Hant": ">>cmn_Hant<<",
        "nb": ">>nor<<",
    }
    ids = manifest.source_format["language_ids"]
    assert ids["pt-BR"] == changed[">>pob<<"]
    only = imported(folder, repository, "--target", ">>pob<<", "--force")
    assert only.language_pairs == (("en", "pt-BR"),)


def test_chinese_keeps_its_script(repository: Path, made: Made) -> None:
    manifest = imported(made("nllb"), repository, "--target", "zho_Hant", "--task", "translation")
    assert manifest.target_languages == ("zh-Hant",)
    assert language_distance("zh-Hant", "zh-CN") is None
    manifest = imported(made("mbart50"), repository, "--task", "translation", "--force")
    assert {"zh-Hans", "pt", "de", "fil"} <= set(manifest.source_languages)


def test_madlad_has_its_targets_in_its_vocabulary(tmp_path: Path, repository: Path) -> None:
    write_madlad(tmp_path / "madlad", 1)
    manifest = imported(tmp_path / "madlad", repository)
    assert manifest.task == "translation"
    assert manifest.target_languages == ("en", "fr", "pt", "zh-Hant", "he")
    assert manifest.source_languages == manifest.target_languages
    assert manifest.language_codes["he"] == "<2iw>"
    theirs = AutoTokenizer.from_pretrained(tmp_path / "madlad")
    vocabulary = load_vocabulary(repository / "m_fp32" / "1", manifest)
    text = "A text editor, small and fast."
    for tag, code in manifest.language_codes.items():
        assert vocabulary.encode([text], "en", tag) == [theirs(f"{code} {text}").input_ids]
    (ids,) = vocabulary.encode(["<2fr> or <2pt>"], "en", "fr")
    assert ids.count(theirs.convert_tokens_to_ids("<2fr>")) == 1
    assert theirs.convert_tokens_to_ids("<2pt>") not in ids


@pytest.mark.parametrize(
    ("card", "sources"),
    [
        ("* source language(s): fra spa\n* target language: eng", ["fra", "spa"]),
        ("- **source languages:** fr,es\n", ["fr", "es"]),
        ("translates from its\nsource language to English.\n", []),
        ("* source languages:\n* target languages: eng\n", []),
        ("---\nlanguage: [fr, no]\n---\nSource language(s): French, Spanish", ["fr", "no"]),
        ("---\ndate: 2024-02-30\n---\n", []),
        ("---\nlanguage: " + "[" * 700 + "\n---\n", []),
        ("\n" * 200_000, []),
    ],
    ids=["list", "bold", "prose", "empty", "names", "date", "nested", "blank"],
)
def test_a_card_says_languages_by_their_codes(
    tmp_path: Path, card: str, sources: list[str]
) -> None:
    (tmp_path / "README.md").write_text(card)
    assert stated_sources(tmp_path) == sources
