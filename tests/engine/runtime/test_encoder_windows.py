"""Windows over texts longer than the model, with the tokenizers of three families' kinds."""

from itertools import pairwise

import pytest
from tokenizers import Tokenizer

from engine.runtime.encoders.windows import (
    QuestionTooLongError,
    StrideError,
    WindowCutter,
    batches,
    window_ranges,
)
from tests.engine.model import encoder_tokenizers

LIMIT = 40
LONG = " ".join(encoder_tokenizers.texts(30))
SPECIALS = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]


@pytest.fixture(scope="module", params=["word pieces", "byte pairs", "pieces"])
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    if request.param == "word pieces":
        return encoder_tokenizers.word_pieces()
    if request.param == "byte pairs":
        return encoder_tokenizers.byte_pairs()
    return encoder_tokenizers.pieces(SPECIALS, "<s>", "</s>", double=True)


@pytest.fixture
def cutter(tokenizer: Tokenizer) -> WindowCutter:
    tokenizer.no_truncation()
    return WindowCutter(tokenizer, LIMIT)


@pytest.mark.parametrize("stride", [None, 0, 7, 37])
def test_every_token_is_in_a_window_and_stands_where_it_should(
    cutter: WindowCutter, tokenizer: Tokenizer, stride: int | None
) -> None:
    whole = tokenizer.encode(LONG)
    cut = cutter.cut(LONG, stride)
    assert cut.input_tokens == len(whole.ids)
    body = whole.ids[1:-1]
    assert len(cut.offsets) == len(body)
    seen = set()
    for window in cut.windows:
        assert len(window.ids) <= LIMIT
        assert [window.ids[0], window.ids[-1]] == [whole.ids[0], whole.ids[-1]]
        inside = window.ids[window.first : window.first + window.tokens]
        assert inside == body[window.start : window.stop]
        seen |= set(range(window.start, window.stop))
    assert seen == set(range(len(body)))
    assert cut.windows[-1].stop == len(body)
    shared = LIMIT // 8 - 1 if stride is None else stride
    for one, two in pairwise(cut.windows):
        assert one.stop - two.start >= shared
        assert len(one.ids) == LIMIT


def test_windows_are_those_of_the_tokenizers_own_truncation(
    cutter: WindowCutter, tokenizer: Tokenizer
) -> None:
    question = "What does it do?"
    single, pair = cutter.cut(LONG, 7), cutter.cut_context(question, LONG, 7, 0)
    tokenizer.enable_truncation(LIMIT, stride=7)
    theirs = tokenizer.encode(LONG)
    assert [w.ids for w in single.windows] == [w.ids for w in (theirs, *theirs.overflowing)]
    tokenizer.enable_truncation(LIMIT, stride=7, strategy="only_second")
    theirs = tokenizer.encode(question, LONG)
    both = [theirs, *theirs.overflowing]
    assert [window.ids for window in pair.windows] == [window.ids for window in both]
    if any(theirs.type_ids):  # it forgets in the windows after the first that all types are 0
        assert [w.token_types for w in pair.windows] == [window.type_ids for window in both]


def test_offsets_are_code_points_of_the_text(cutter: WindowCutter) -> None:
    text = "naïve 𝄞 clef " + LONG
    cut = cutter.cut_context("why?", text, None, 5)
    starts = [start for start, _ in cut.offsets]
    assert starts == sorted(starts)
    covered = "".join(text[start:end] for start, end in cut.offsets)
    for word in ("clef", *LONG.split()[-5:]):
        assert word in covered


def test_a_short_text_is_one_window_and_an_empty_one_too(cutter: WindowCutter) -> None:
    assert len(cutter.cut("A game.").windows) == 1
    (window,) = cutter.cut("").windows
    assert window.tokens == 0
    assert len(window.ids) == 2
    (window,) = cutter.cut_context("Why?", "", None, 30).windows
    assert window.tokens == 0


def test_the_question_is_never_cut(cutter: WindowCutter, tokenizer: Tokenizer) -> None:
    question = "Which package plays games for children?"
    asked = tokenizer.encode(question, add_special_tokens=False).ids
    for window in cutter.cut_context(question, LONG, None, 4).windows:
        assert window.ids[1 : 1 + len(asked)] == asked
    with pytest.raises(QuestionTooLongError, match="question has"):
        cutter.cut_context(LONG, "short", None, 4)


def test_answers_of_the_longest_size_stand_whole_in_a_window(cutter: WindowCutter) -> None:
    windows = cutter.cut_context("Why?", LONG, None, 12).windows
    assert len(windows) > 2
    for one, two in pairwise(windows):
        assert one.stop - two.start >= 12


def test_a_stride_must_let_windows_move_on(cutter: WindowCutter) -> None:
    with pytest.raises(StrideError, match="stride must be below 38"):
        cutter.cut(LONG, 38)


def test_a_text_that_spells_a_special_token_is_cut_like_any_other(cutter: WindowCutter) -> None:
    cut = cutter.cut("[SEP] </s> " * 30, 0)
    assert sum(window.tokens for window in cut.windows) == len(cut.offsets)


def test_ranges() -> None:
    assert window_ranges(0, 10, 2) == [(0, 0)]
    assert window_ranges(10, 10, 2) == [(0, 10)]
    assert window_ranges(11, 10, 2) == [(0, 10), (8, 11)]
    assert window_ranges(26, 10, 2) == [(0, 10), (8, 18), (16, 26)]


def test_batches_hold_everything_once_with_little_padding() -> None:
    lengths = [5, 64, 7, 60, 6, 64, 2, 33, 40]
    groups = batches(lengths, most_tokens=130, spread=10)
    assert sorted(index for group in groups for index in group) == list(range(len(lengths)))
    for group in groups:
        sizes = [lengths[index] for index in group]
        assert max(sizes) - min(sizes) <= 10
        assert len(group) == 1 or max(sizes) * len(sizes) <= 130
    assert len(groups) == 4
    assert batches([500], most_tokens=100, spread=10) == [[0]]
