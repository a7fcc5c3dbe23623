import json
from pathlib import Path

import pytest

from engine.training.corpus import Pair
from examples.debian import translation
from examples.debian.archive import CorpusError, Description, read_descriptions, split_paragraphs
from examples.debian.splits import ngrams
from examples.debian.translation import align, is_clean, split_by_package
from tests.engine.conftest import DATA


def test_paragraphs_and_list_items_are_told_apart() -> None:
    body = " First line\n goes on.\n .\n Second:\n  * one item\n    that goes on\n  - another\n"
    assert split_paragraphs(body) == [
        "First line goes on.",
        "Second:",
        "one item that goes on",
        "another",
    ]


PACKAGES = """\
Package: foo-data
Source: foo (1.2)
Section: contrib/games
Description-md5: aa

Package: bar
Section: libs
Description-md5: bb

"""


def test_descriptions_are_joined_with_their_source_package(tmp_path: Path) -> None:
    (tmp_path / "x_Packages").write_text(PACKAGES)
    (tmp_path / "x_Translation-fr").write_text(
        "Package: foo-data\nDescription-md5: aa\nDescription-fr: données de foo\n Un jeu.\n\n"
        "Package: gone\nDescription-md5: cc\nDescription-fr: disparu\n Rien.\n"
    )
    (entry,) = read_descriptions(tmp_path, "fr")
    assert (entry.source, entry.section, entry.synopsis) == ("foo", "games", "données de foo")
    assert entry.paragraphs == ("Un jeu.",)


def test_a_language_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="No Translation-fr index"):
        list(read_descriptions(tmp_path, "fr"))


def test_no_apt_is_one_clear_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CorpusError, match="apt-get is not on this machine"):
        translation.build_translation_corpus(tmp_path)


def test_unequal_paragraphs_give_only_the_synopsis() -> None:
    left = Description("p", "p", "s", "m", "a tool", ("one", "two"))
    right = Description("p", "p", "s", "m", "un outil", ("un",))
    assert list(align(left, right)) == [Pair("a tool", "un outil", "p")]


@pytest.mark.parametrize(
    ("source", "target"),
    [("same text", "same text"), ("a long English sentence here", "x"), ("12 34 56", "12 34 57")],
)
def test_what_is_no_translation_is_dropped(source: str, target: str) -> None:
    assert not is_clean(Pair(source, target, "p"))


def test_splits_share_no_package_and_hold_no_near_copies() -> None:
    common = "this package contains the development files of the library"
    pairs = [
        Pair(
            f"{common} number {index}" if index % 2 else f"a unique {index} text {index} here",
            "x",
            f"p{index}",
        )
        for index in range(3000)
    ]
    splits = split_by_package(pairs)
    packages = [{pair.package for pair in rows} for rows in splits.values()]
    assert not packages[0] & packages[1] | packages[0] & packages[2] | packages[1] & packages[2]
    assert splits["test"]
    assert not [pair for pair in splits["test"] if pair.source.startswith("this package")]


def test_the_committed_test_set_is_apart_from_the_calibration_texts() -> None:
    def read(name: str) -> list[dict[str, str]]:
        return [json.loads(line) for line in (DATA / name).open(encoding="utf-8")]

    test, calibration = read("en-fr.test.jsonl"), read("en-fr.calibration.jsonl")
    assert len(test) == 1000
    assert not {r["package"] for r in test} & {r["package"] for r in calibration}
    assert all(ngrams(row["source"]) for row in test)
