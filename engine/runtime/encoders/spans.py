"""From the start and end logits of every window to answers: spans of the context.

Each token of the context has one start and one end logit: those of the window in which it stands
farthest from a cut.  The two softmaxes run over all tokens of the context and the no-answer
position, which is the first token ("[CLS]", "<s>") of the window that holds an answer most likely.
For one window this is what `transformers`' extractive pipelines do.  Question and special tokens
take no part, and a window without the answer takes nothing from the others.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engine.contract.readings import SpanAnswer
from engine.runtime.encoders.windows import TokenWindow

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]


def decode_spans(
    windows: Sequence[TokenWindow], logits: Sequence[Floats], tokens: int
) -> tuple[Doubles, float]:
    """Log-probabilities of starts and ends `[2,tokens]`, and that of "no answer".

    `logits[w] [len(ids),2]` are those of window w; `tokens` is the length of the context.
    """
    merged = np.full((2, tokens), -np.inf)
    distances = np.full(tokens, -1.0)
    for window, scores in zip(windows, logits, strict=True):
        ours = _distances(window, tokens)
        held = slice(window.start, window.stop)
        better = ours > distances[held]
        place = slice(window.first, window.first + window.tokens)
        merged[:, held] = np.where(better, scores[place].T, merged[:, held])
        distances[held] = np.where(better, ours, distances[held])
    none = min((scores[0].astype(np.float64) for scores in logits), key=lambda pair: pair.sum())
    everything = np.concatenate([merged, none[:, None]], axis=1)
    everything -= everything.max(axis=1, keepdims=True)
    everything -= np.log(np.exp(everything).sum(axis=1, keepdims=True))
    return everything[:, :-1], float(everything[:, -1].sum())


def _distances(window: TokenWindow, tokens: int) -> Doubles:
    """How far each token of a window is from a cut; an end of the text is none."""
    places = np.arange(window.tokens, dtype=np.float64)
    left = places + 1 if window.start else np.full(window.tokens, np.inf)
    right = window.tokens - places if window.stop < tokens else np.full(window.tokens, np.inf)
    nearest: Doubles = np.minimum(left, right)
    return nearest


def best_spans(
    log_probs: Doubles,
    text: str,
    offsets: Sequence[tuple[int, int]],
    top_k: int,
    max_answer_tokens: int,
) -> tuple[SpanAnswer, ...]:
    """The `top_k` most probable spans of `text` of at most `max_answer_tokens`, best first.

    `log_probs` is what `decode_spans` gave; of spans that are the same text in the same place, such
    as with and without a space at the edge, the best counts.
    """
    starts, ends = log_probs
    tokens = len(offsets)
    band = np.full((min(max_answer_tokens, tokens), tokens), -np.inf)
    for extra in range(len(band)):
        band[extra, : tokens - extra] = starts[: tokens - extra] + ends[extra:]
    answers: dict[tuple[int, int], SpanAnswer] = {}
    for flat in _best_first(band.ravel(), top_k):
        extra, first = divmod(int(flat), tokens)
        span = _without_spaces(text, offsets[first][0], offsets[first + extra][1])
        if span not in answers and span[0] < span[1]:
            answers[span] = SpanAnswer(*span, score=float(np.exp(band[extra, first])))
        if len(answers) == top_k:
            break
    return tuple(answers.values())


def _best_first(scores: Doubles, top_k: int) -> Ints:
    """Indices of finite scores in falling order, with spare ones for spans that coincide."""
    count = min(scores.size, 8 * top_k + 64)
    best = np.argpartition(-scores, count - 1)[:count] if count else np.zeros(0, np.int64)
    best = best[np.isfinite(scores[best])]
    return best[np.lexsort((best, -scores[best]))]


def _without_spaces(text: str, start: int, end: int) -> tuple[int, int]:
    """A span less the white space at its edges: some tokenizers count it to the word after it."""
    part = text[start:end]
    start += len(part) - len(part.lstrip())
    return start, max(start, end - (len(part) - len(part.rstrip())))
