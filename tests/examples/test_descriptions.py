from pathlib import Path

import pytest

from engine.training.corpus import load_pairs
from examples.debian.archive import Description
from examples.debian.descriptions import (
    SMALLEST_SECTION,
    full_text,
    known_grams,
    section_corpus,
    summary_corpus,
)
from examples.debian.splits import split_of
from tests.engine.conftest import DATA


def _source(split: str, start: int = 0) -> str:
    """The name of a source package of that split."""
    return next(name for n in range(start, 10_000) if split_of(name := f"package-{n}") == split)


def _describe(source: str, text: str, section: str = "games", synopsis: str = "") -> Description:
    return Description("p", source, section, "m", synopsis or f"all about {text}", (text,))


WORDS = [f"{first}{last}" for first in "abcdefghij" for last in "klmnopqrst"]


def _text(number: int) -> str:
    """Twelve words that share no five in a row with another number's."""
    return " ".join(WORDS[(number * 7 + step * (number + 1)) % 100] for step in range(12))


def test_a_package_of_the_test_split_never_lends_its_text_to_training() -> None:
    entries = [_describe(_source(split), _text(n)) for n, split in enumerate(("train", "test"))]
    corpus = summary_corpus(entries, known_grams(entries))
    assert [pair.source for pair in corpus.splits["train"]] == [_text(0)]
    assert [pair.source for pair in corpus.splits["test"]] == [_text(1)]
    assert not corpus.splits["dev"]


def test_near_copies_of_training_text_are_no_test_texts() -> None:
    copy = " ".join(_text(0).split()[:9]) + " and something else"
    entries = [_describe(_source("train"), _text(0)), _describe(_source("test"), copy)]
    assert not summary_corpus(entries, known_grams(entries)).splits["test"]


def test_a_long_text_is_summarized_once() -> None:
    train = _source("train")
    entries = [_describe(train, _text(0), synopsis=s) for s in ("game server", "game client")]
    (pair,) = summary_corpus(entries, set()).splits["train"]
    assert pair.target == "game server"


def test_copies_stay_when_their_sections_differ() -> None:
    train = _source("train")
    sections = ["libs", "libs", "libdevel"]
    entries = [_describe(train, _text(0), section) for section in sections]
    filler = [_describe(train, _text(n), s) for n in range(1, 30) for s in ("libs", "libdevel")]
    rows = section_corpus(entries + filler, set()).splits["train"]
    assert [p.target for p in rows if p.source == full_text(entries[0])] == ["libs", "libdevel"]


def test_a_section_with_few_texts_is_left_out_of_every_split() -> None:
    entries = [_describe(_source("train"), _text(n)) for n in range(SMALLEST_SECTION)]
    entries += [_describe(_source("train"), _text(40), "zope")]
    entries += [_describe(_source("test"), _text(50), "zope")]
    corpus = section_corpus(entries, set())
    assert {pair.target for pair in corpus.splits["train"]} == {"games"}
    assert not corpus.splits["test"]


@pytest.mark.parametrize(("task", "count"), [("summary", 1300), ("section", 1649)])
def test_the_committed_test_sets_are_of_test_packages(task: str, count: int) -> None:
    test = load_pairs(Path(DATA / f"deb-{task}.test.jsonl"))
    calibration = load_pairs(Path(DATA / f"deb-{task}.calibration.jsonl"))
    assert (len(test), len(calibration)) == (count, 256)
    assert {split_of(pair.package) for pair in test} == {"test"}
    assert {split_of(pair.package) for pair in calibration} == {"dev"}
    assert len({pair.source for pair in test}) == len(test)
