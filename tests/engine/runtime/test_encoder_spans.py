"""From start and end logits to answers, against the post-processing of `transformers`."""

import numpy as np
import pytest
from numpy.typing import NDArray
from transformers.pipelines.document_question_answering import select_starts_ends

from engine.contract.readings import SpanAnswer
from engine.runtime.encoders.spans import best_spans, decode_spans
from engine.runtime.encoders.windows import TokenWindow, window_ranges

QUESTION = 4
"""Tokens before the context: one special, two of a question, one special."""


def window(start: int, stop: int) -> TokenWindow:
    length = QUESTION + stop - start + 1
    return TokenWindow([7] * length, [0] * length, QUESTION, start, stop)


def logits_of(
    windows: list[TokenWindow], seed: int, spread: float = 2.0
) -> list[NDArray[np.float32]]:
    random = np.random.default_rng(seed)
    return [random.normal(0, spread, (len(w.ids), 2)).astype(np.float32) for w in windows]


def word_offsets(tokens: int) -> tuple[str, list[tuple[int, int]]]:
    return "word " * tokens, [(5 * n, 5 * n + 4) for n in range(tokens)]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("top_k", "longest"), [(1, 30), (5, 3), (9, 1)])
def test_one_window_gives_the_answers_of_transformers(seed: int, top_k: int, longest: int) -> None:
    tokens = 23
    (one,) = windows = [window(0, tokens)]
    (logits,) = logits_of(windows, seed)
    outside = np.ones(len(one.ids), np.int64)
    outside[0] = 0
    outside[QUESTION : QUESTION + tokens] = 0
    starts, ends, scores, null = select_starts_ends(
        logits[None, :, 0],
        logits[None, :, 1],
        outside[None],
        np.ones((1, len(one.ids)), np.int64),
        top_k=top_k,
        handle_impossible_answer=True,
        max_answer_len=longest,
    )
    text, offsets = word_offsets(tokens)
    log_probs, none = decode_spans(windows, [logits], tokens)
    answers = best_spans(log_probs, text, offsets, top_k, longest)
    expected = [
        (offsets[start - QUESTION][0], offsets[end - QUESTION][1])
        for start, end in zip(starts, ends, strict=True)
    ]
    assert [(answer.start, answer.end) for answer in answers] == expected
    np.testing.assert_allclose([answer.score for answer in answers], scores, rtol=1e-5)
    np.testing.assert_allclose(np.exp(none), null, rtol=1e-5)


def test_probabilities_of_all_spans_and_of_none_are_those_of_two_softmaxes() -> None:
    tokens = 50
    windows = [window(*one) for one in window_ranges(tokens, 20, 6)]
    log_probs, none = decode_spans(windows, logits_of(windows, 1), tokens)
    (start, end) = np.exp(log_probs).sum(axis=1)
    assert 0 < start < 1
    assert 0 < end < 1
    np.testing.assert_allclose((1 - start) * (1 - end), np.exp(none), rtol=1e-9)


def test_windows_that_agree_are_as_good_as_one() -> None:
    """Where every window says the same of a token, cutting changes no answer."""
    tokens = 60
    whole = window(0, tokens)
    (logits,) = logits_of([whole], 3)
    text, offsets = word_offsets(tokens)
    windows = [window(*one) for one in window_ranges(tokens, 25, 10)]
    assert len(windows) > 2
    parts = [
        np.concatenate(
            [logits[:QUESTION], logits[QUESTION + w.start : QUESTION + w.stop], logits[-1:]]
        )
        for w in windows
    ]
    one_log_probs, one_none = decode_spans([whole], [logits], tokens)
    log_probs, none = decode_spans(windows, parts, tokens)
    np.testing.assert_allclose(log_probs, one_log_probs)
    assert none == pytest.approx(one_none)
    assert best_spans(log_probs, text, offsets, 5, 30) == best_spans(
        one_log_probs, text, offsets, 5, 30
    )


def test_a_token_near_a_cut_is_judged_by_the_other_window() -> None:
    windows = [window(0, 20), window(10, 30)]
    parts = [np.zeros((len(w.ids), 2), np.float32) for w in windows]
    parts[0][QUESTION + 19] = 9.0  # the last token before the cut
    log_probs, _ = decode_spans(windows, parts, 30)
    assert log_probs[0].argmax() != 19
    parts[1][QUESTION + 9] = 9.0
    log_probs, _ = decode_spans(windows, parts, 30)
    assert log_probs[0].argmax() == 19


def test_a_window_without_the_answer_does_not_say_that_there_is_none() -> None:
    windows = [window(0, 20), window(18, 30)]
    parts = [np.zeros((len(w.ids), 2), np.float32) for w in windows]
    parts[0][0] = 12.0  # this window has no answer
    parts[1][QUESTION + 5, 0] = parts[1][QUESTION + 6, 1] = 12.0
    text, offsets = word_offsets(30)
    log_probs, none = decode_spans(windows, parts, 30)
    (answer,) = best_spans(log_probs, text, offsets, 1, 30)
    assert text[answer.start : answer.end] == "word word"
    assert answer.start == 5 * 23
    assert answer.score > 0.99
    assert np.exp(none) < 0.01


def test_spans_that_differ_in_white_space_only_are_one() -> None:
    text, offsets = "a  b", [(0, 1), (1, 2), (2, 4)]
    log_probs = np.log(np.array([[0.1, 0.5, 0.4], [0.1, 0.1, 0.8]]))
    answers = best_spans(log_probs, text, offsets, 3, 2)
    assert answers[0] == SpanAnswer(3, 4, pytest.approx(0.4))
    assert len({(answer.start, answer.end) for answer in answers}) == len(answers)
    assert all(text[answer.start : answer.end].strip() for answer in answers)


def test_an_empty_context_has_no_answer() -> None:
    windows = [window(0, 0)]
    log_probs, none = decode_spans(windows, logits_of(windows, 0), 0)
    assert best_spans(log_probs, "", [], 3, 30) == ()
    assert none == pytest.approx(0.0)
