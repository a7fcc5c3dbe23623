"""The pure parts of `make bench`."""

from pathlib import Path

import pytest

from tests.benchmarks.report.grid import Grid
from tests.benchmarks.report.plots import spread_plot
from tests.benchmarks.report.publication import NoPlaceError, save_plot, with_blocks
from tests.benchmarks.speed.lengths import text_of, texts_of
from tests.benchmarks.speed.quality import share_of_equal
from tests.benchmarks.speed.spread import percentile, spread
from tests.benchmarks.speed.workload import descriptions, repeated, sentences
from tests.benchmarks.systems.batch_settings import BatchSetting, best_setting, settings_for


def test_a_spread_is_written_with_its_deviation() -> None:
    assert str(spread([900.0, 1000.0, 1100.0])) == "1,000 ±10"
    assert str(spread([24_436.0])) == "24,436"


def test_percentiles_are_nearest_ranks() -> None:
    values = [float(value) for value in range(1, 101)]
    assert [percentile(values, share) for share in (0, 50, 95, 100)] == [1, 50, 95, 100]
    assert percentile([3.0, 1.0], 99) == 3.0


@pytest.mark.parametrize("in_flight", [1, 8, 64, 256])
@pytest.mark.parametrize("short", [True, False])
def test_no_setting_leaves_workers_idle_or_comes_twice(in_flight: int, short: bool) -> None:
    settings = settings_for(in_flight, 2, short=short)
    assert len(set(settings)) == len(settings)
    assert {setting.inter for setting in settings} == {1, 2}
    assert all(setting.parts <= in_flight for setting in settings)
    split = [each for each in settings if each.inter == 2 and each.batch_type == "examples"]
    assert in_flight == 1 or all(each.parts > 1 or each.max_batch_size for each in split)


def test_one_text_in_flight_has_nothing_to_split() -> None:
    assert settings_for(1, 2, short=False) == [BatchSetting(1, 2), BatchSetting(2, 1)]


def test_the_setting_of_the_highest_median_is_chosen() -> None:
    lucky, steady = BatchSetting(1, 2), BatchSetting(2, 1)
    assert best_setting({lucky: [1.0, 1.0, 9.0], steady: [2.0, 2.0, 2.0]}) == steady


def test_equal_answers_are_counted() -> None:
    assert share_of_equal(["a", "b", "c", "d"], ["a", "b", "x", "d"]) == 0.75


def test_a_text_has_as_many_words_as_fit() -> None:
    def count(text: str) -> int:
        return sum(len(word) for word in text.split())

    text = text_of(10, ["ab", "abc"], count, seed=1)
    assert 8 <= count(text) <= 10
    assert text_of(1, ["abc"], count, seed=1) == "abc"
    assert len(set(texts_of(20, 4, ["ab", "abc", "c"], count))) == 4


def test_texts_come_in_the_same_order_and_again() -> None:
    assert repeated(["a", "b"], 5) == ["a", "b", "a", "b", "a"]
    assert descriptions(20) == descriptions(20)
    assert len({len(text.split()) for text in descriptions(100)}) > 20
    assert all(14 <= len(pair.source.split()) <= 26 for pair in sentences())


def test_a_document_gets_new_content_where_it_names_it() -> None:
    text = "A\n<!-- bench: a b -->\nold\n<!-- end -->\nB\n<!-- bench: c -->\n<!-- end -->\n"
    new = with_blocks(text, {"a b": "new"})
    assert new == text.replace("\nold\n", "\n\nnew\n\n")
    assert with_blocks(new, {"a b": "new"}) == new
    with pytest.raises(NoPlaceError):
        with_blocks(text, {"d": "new"})


def test_a_plot_is_the_same_file_each_time(tmp_path: Path) -> None:
    for name in ("one", "two"):
        plot = spread_plot("title", "x", "y", {"system": {1: spread([1.0, 3.0]), 8: spread([2.0])}})
        (tmp_path / name).mkdir()
        save_plot(plot, tmp_path / name / "plot.svg")
    first, second = ((tmp_path / name / "plot.svg").read_bytes() for name in ("one", "two"))
    assert first == second
    assert b"title" in first


def test_a_grid_is_a_table_of_markdown() -> None:
    grid = Grid("Speeds", ["in flight", "1"], [["ours", "2"]])
    expected = "Speeds:\n\n| in flight | 1 |\n| --- | --- |\n| ours | 2 |"
    assert grid.as_markdown() == expected
