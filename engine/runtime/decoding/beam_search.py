"""Beam search: which beams go on and which hypotheses are kept, for one text.

The bookkeeping is that of `transformers` 5.23 (`GenerationMixin._beam_search`), of one row of its
batch, whose rows do not touch each other: each step looks at the 2k best continuations of k beams;
those that end the answer become hypotheses if they are among the first k, the others go on.
Hypotheses are ranked by sum of log-probabilities / length^length_penalty, where Wu et al. 2016
(arXiv:1609.08144) have ((5 + length) / 6)^alpha.
Scores are FP32 as there.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.runtime.decoding.processors import Processors
from engine.runtime.decoding.selection import Floats, Ints, top
from engine.runtime.decoding.settings import Decoding
from engine.runtime.decoding.trail import Trail

_NEVER = np.float32(-1e9)
"""The score of what must not be chosen, finite as in `transformers`."""


@dataclass(frozen=True)
class BeamHypothesis:
    """A complete answer; `score` is what ranks."""

    score: float
    trail: Trail


@dataclass(frozen=True)
class Continuation:
    """What each beam of the next step is: a token after the beam `parents` of this step."""

    tokens: Ints
    parents: Ints


Record = Callable[[int, int], Trail]
"""The trail of a beam of this step with a token put after it."""


class BeamSearch:
    """The search of one row. `done` says that `hypotheses`, best first, are final."""

    def __init__(
        self, decoding: Decoding, processors: Processors, eos_id: int, longest: int
    ) -> None:
        self._decoding = decoding
        self._processors = processors
        self._eos_id = eos_id
        self._longest = longest
        self._scores = np.full(decoding.num_beams, _NEVER, np.float32)
        self._scores[0] = 0
        self._length = 0
        self.hypotheses: list[BeamHypothesis] = []
        self.done = False

    def force(self, token: int, record: Record) -> Continuation:
        """A step in which every beam gets the same token, which costs it nothing."""
        beams = np.arange(self._decoding.num_beams)
        order = np.argsort(-self._scores, kind="stable")
        return self._advance(order, np.full_like(beams, token), self._scores[order], record)

    def advance(
        self, log_probs: Sequence[Floats], histories: Sequence[Ints], record: Record
    ) -> Continuation:
        """A step, given the model's log-probabilities `[V]` of each beam and its tokens so far."""
        wanted = 2 * self._decoding.num_beams
        tokens, scores = [], []
        for row, history, score in zip(log_probs, histories, self._scores, strict=True):
            processed = self._processors(row, history)
            if self._decoding.renormalize_logits:
                processed = _normalized(processed)
            ids = top(processed, wanted)
            tokens.append(ids)
            scores.append(processed[ids] + score)
        parents = np.repeat(np.arange(len(tokens)), [ids.size for ids in tokens])
        joined = np.concatenate(scores)
        best = np.argsort(-joined, kind="stable")[:wanted]
        return self._advance(parents[best], np.concatenate(tokens)[best], joined[best], record)

    def ranked(self) -> float:
        """What the best open beam would be ranked by if it ended now."""
        return float(self._ranks(self._scores[:1], max(1, self._length))[0])

    def _advance(self, parents: Ints, tokens: Ints, scores: Floats, record: Record) -> Continuation:
        self._length += 1
        ending = (tokens == self._eos_id) | (self._length >= self._longest)
        self._finish(parents, tokens, scores, ending, record)
        open_scores = scores + ending * _NEVER
        chosen = np.argsort(-open_scores, kind="stable")[: self._decoding.num_beams]
        self._scores = open_scores[chosen]
        self.done = bool(ending.all()) or not self._can_improve() or self._is_full_and_stops()
        return Continuation(tokens[chosen], parents[chosen])

    def _finish(
        self,
        parents: Ints,
        tokens: Ints,
        scores: Floats,
        ending: NDArray[np.bool_],
        record: Record,
    ) -> None:
        """Makes hypotheses of the endings among the best, and keeps the best k of all."""
        beams = self._decoding.num_beams
        ranks = self._ranks(scores, self._length)
        for place in np.flatnonzero(ending[:beams]):
            rank, full = float(ranks[place]), len(self.hypotheses) == beams
            if rank == -np.inf or (full and rank <= self.hypotheses[-1].score):
                continue
            trail = record(int(parents[place]), int(tokens[place]))
            self.hypotheses.append(BeamHypothesis(rank, trail))
            self.hypotheses.sort(key=lambda hypothesis: -hypothesis.score)
            del self.hypotheses[beams:]

    def _ranks(self, scores: Floats, length: int) -> Floats:
        ranks: Floats = scores / np.float32(length**self._decoding.length_penalty)
        return ranks

    def _can_improve(self) -> bool:
        """Whether the best open beam may yet beat the worst hypothesis."""
        decoding = self._decoding
        if len(self.hypotheses) < decoding.num_beams:
            return True
        optimistic = decoding.early_stopping == "never" and decoding.length_penalty > 0
        length = self._longest if optimistic else self._length
        return bool(self._ranks(self._scores[:1], length)[0] > self.hypotheses[-1].score)

    def _is_full_and_stops(self) -> bool:
        full = len(self.hypotheses) == self._decoding.num_beams
        return full and self._decoding.early_stopping is True


def _normalized(scores: Floats) -> Floats:
    """Log-probabilities that sum to 1 again after some were taken out or changed."""
    largest = scores.max()
    if not np.isfinite(largest):
        return scores
    normal: Floats = scores - (largest + np.log(np.exp(scores - largest).sum()))
    return normal


def place_beams(slots: list[int], parents: Ints) -> tuple[list[int], list[tuple[int, int]]]:
    """Where the next beams stand, so that few are copied: a parent's first child stays in its slot.

    Args:
        slots: of this step's beams.
        parents: for each beam of the next step its beam in this one.

    Returns:
        The slots of the next step's beams, and the copies (from, to) that make it so; none reads a
        slot that another writes.

    """
    used = set(parents.tolist())
    free = [slot for beam, slot in enumerate(slots) if beam not in used]
    placed: list[int] = []
    copies: list[tuple[int, int]] = []
    taken: set[int] = set()
    for parent in parents.tolist():
        if parent in taken:
            slot = free.pop()
            copies.append((slots[parent], slot))
        else:
            slot = slots[parent]
            taken.add(parent)
        placed.append(slot)
    return placed, copies
