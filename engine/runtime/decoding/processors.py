"""What changes a row of scores before a token is chosen: those of `transformers`, in its order.

Scores are logits, or log-probabilities with beams. `history` is what `transformers` calls
`input_ids` of a decoder: the start token, a forced prefix, and what was made since.
Forcing a token is not here: it leaves nothing to choose (`Decoding.forced`).
"""

from collections.abc import Sequence

import numpy as np

from engine.runtime.decoding.candidates import Ranking
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
            seen = np.unique(history)
            scores[seen] = self._penalised(scores[seen])
        scores[self._forbidden(history)] = -np.inf
        return scores

    def revise(self, ranking: Ranking, history: Ints) -> Ranking:
        """Those that are surely the best of the vocabulary once scores are changed, if any are."""
        if not self._decoding.constrained:
            return ranking
        ids, scores = ranking.ids, ranking.scores.copy()
        if self._decoding.repetition_penalty < 1.0:  # what is not in the ranking may rise
            return Ranking(ids[:0], scores[:0], np.inf)
        if self._decoding.repetition_penalty != 1.0:
            seen = np.isin(ids, history)
            scores[seen] = self._penalised(scores[seen])
        scores[np.isin(ids, self._forbidden(history))] = -np.inf
        order = np.lexsort((ids, -scores))
        order = order[scores[order] > ranking.bound]
        return Ranking(ids[order], scores[order], ranking.bound)

    def _penalised(self, scores: Floats) -> Floats:
        """Keskar et al. 2019, arXiv:1909.05858, with negative scores multiplied, not divided."""
        penalty = np.float32(self._decoding.repetition_penalty)
        return np.where(scores < 0, scores * penalty, scores / penalty)

    def _forbidden(self, history: Ints) -> list[int]:
        """The tokens that must not come next."""
        tokens = [*self._never]
        if self._decoding.no_repeat_ngram_size:
            tokens += _completing(history, self._decoding.no_repeat_ngram_size).tolist()
        tokens += [word[-1] for word in self._bad_words if _ends_with(history, word[:-1])]
        if history.size < self._shortest:
            tokens.append(self._eos_id)
        if history.size == self._begin:
            tokens += self._decoding.begin_suppressed_ids
        return tokens


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
