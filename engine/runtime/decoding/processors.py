"""What changes a row of scores before a token is chosen: those of `transformers`, in its order.

Scores are logits, or log-probabilities with beams. `history` is what `transformers` calls
`input_ids` of a decoder: the start token, a forced prefix, and what was made since.
Forcing a token is not here: it leaves nothing to choose (`Decoding.forced`).
"""

from collections.abc import Sequence

import numpy as np

from engine.runtime.decoding.selection import Floats, Ints
from engine.runtime.decoding.settings import Decoding


class Processors:
    """The processors of one row; `prompt` is the length of its start token and forced prefix."""

    def __init__(self, decoding: Decoding, eos_id: int, prompt: int) -> None:
        self._decoding = decoding
        self._eos_id = eos_id
        self._shortest = prompt + decoding.min_new_tokens
        after_bos = prompt == 1 and decoding.forced_bos_id is not None
        self._begin = prompt + 1 if after_bos else prompt
        words = [word[0] for word in decoding.bad_words if len(word) == 1]
        self._never = [*words, *decoding.suppressed_ids]
        self._bad_words = [word for word in decoding.bad_words if len(word) > 1]

    def __call__(self, scores: Floats, history: Ints) -> Floats:
        """The changed scores `[V]`, a copy when anything changes, given `history [n]`."""
        if not self._decoding.constrained:
            return scores
        scores = scores.copy()
        if self._decoding.repetition_penalty != 1.0:
            _penalise(scores, history, self._decoding.repetition_penalty)
        if self._decoding.no_repeat_ngram_size:
            scores[_completing(history, self._decoding.no_repeat_ngram_size)] = -np.inf
        if self._never:
            scores[self._never] = -np.inf
        for word in self._bad_words:
            if _ends_with(history, word[:-1]):
                scores[word[-1]] = -np.inf
        if history.size < self._shortest:
            scores[self._eos_id] = -np.inf
        if history.size == self._begin:
            scores[list(self._decoding.begin_suppressed_ids)] = -np.inf
        return scores


def _penalise(scores: Floats, history: Ints, penalty: float) -> None:
    """Keskar et al. 2019, arXiv:1909.05858, with negative scores multiplied, not divided."""
    seen = np.unique(history)
    old = scores[seen]
    scores[seen] = np.where(old < 0, old * np.float32(penalty), old / np.float32(penalty))


def _completing(history: Ints, size: int) -> Ints:
    """The tokens that would make the last `size` tokens an n-gram that `history` already has."""
    if history.size < size:
        return history[:0]
    windows = np.lib.stride_tricks.sliding_window_view(history, size)
    prefix = history[history.size + 1 - size :]
    found: Ints = windows[(windows[:, :-1] == prefix).all(axis=1), -1]
    return found


def _ends_with(history: Ints, prefix: Sequence[int]) -> bool:
    return history.size >= len(prefix) and history[-len(prefix) :].tolist() == list(prefix)
