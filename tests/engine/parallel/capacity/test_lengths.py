"""Lengths that are given as means, or by files of texts."""

from pathlib import Path

import pytest

from engine.export.text_files import TextFileError
from engine.parallel.capacity.errors import CapacityError
from engine.parallel.capacity.lengths import LengthDistribution, read_lengths


def test_means_are_kept_and_lengths_spread() -> None:
    found = read_lengths("200:60")
    assert found.source == pytest.approx(200)
    assert found.target == pytest.approx(60)
    assert found.sources.min() < 100 and found.sources.max() > 400
    assert found.attended_source > 200  # long sources have long answers, and so more steps
    assert found.attended_position > 30


def test_a_step_attends_to_half_of_an_answer_on_average() -> None:
    found = LengthDistribution.of_pairs([(10, 9)])
    assert found.attended_position == 5
    assert found.attended_source == 10


def test_files_of_pairs_and_of_texts_are_read(tmp_path: Path) -> None:
    pairs, texts = tmp_path / "pairs.jsonl", tmp_path / "texts.txt"
    pairs.write_text('{"source": "a b c", "target": "d"}\n{"source": "e", "target": "f g"}\n')
    texts.write_text("one two\nthree\n")

    def words(text: str) -> int:
        return len(text.split())

    assert read_lengths(str(pairs), words).targets.tolist() == [1, 2]
    assert read_lengths(str(texts), words).sources.tolist() == [2, 1]
    assert read_lengths(str(texts), words).targets.tolist() == [2, 1]
    assert read_lengths(str(texts)).source > 2  # by characters


def test_lengths_are_cut_to_what_a_model_takes() -> None:
    assert read_lengths("5000:60").limited(512).sources.max() == 512


@pytest.mark.parametrize("text", ["200", "0:5", "a:b", "missing.txt"])
def test_wrong_lengths_are_refused(text: str) -> None:
    with pytest.raises(CapacityError, match="--lengths"):
        read_lengths(text)


def test_a_file_without_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "none.txt").write_text("\n\n")
    with pytest.raises(TextFileError, match="holds no text"):
        read_lengths(str(tmp_path / "none.txt"))
