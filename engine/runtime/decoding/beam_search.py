"""Beam search: which beams go on and which hypotheses are kept, for one text.

The bookkeeping is that of `transformers` 5.23 (`GenerationMixin._beam_search`), of one row of its
batch, whose rows do not touch each other: each step looks at the 2k best continuations of k beams;
those that end the answer become hypotheses if they are among the first k, the others go on.
Hypotheses are ranked by sum of log-probabilities / length^length_penalty, where Wu et al. 2016
(arXiv:1609.08144) have ((5 + length) / 6)^alpha.
Scores are FP32 as there.
"""

from dataclasses import dataclass

import numpy as np

from engine.contract.events import FinishReason
from engine.runtime.decoding.candidates import MOST_CANDIDATES, SPARE, Candidates
from engine.runtime.decoding.processors import Processors
from engine.runtime.decoding.selection import Floats, Ints, top
from engine.runtime.decoding.settings import Decoding
from engine.runtime.decoding.strategy import NextTokens, StepView
from engine.runtime.decoding.trail import ScoredTrail, Trail, common_prefix

_NEVER = np.float32(-1e9)
"""The score of what must not be chosen, finite as in `transformers`."""


@dataclass(frozen=True)
class _Continuations:
    """Tokens after beams of this step: what they rank by, and how probable the model finds them."""

    parents: Ints
    tokens: Ints
    scores: Floats
    log_probs: Floats


class BeamSearch:
    """The search of one row. See `DecodingStrategy`.

    `outputs` are those that a step can give; an answer has at most `longest` tokens.
    """

    def __init__(
        self,
        decoding: Decoding,
        processors: Processors,
        eos_id: int,
        longest: int,
        outputs: frozenset[str],
    ) -> None:
        self.width = decoding.num_beams
        spare = SPARE if decoding.constrained else 0
        self.candidates = min(2 * self.width + spare, MOST_CANDIDATES)
        self.needs = frozenset({"candidates"} | ({"suppressed_logits"} & outputs))
        self._decoding = decoding
        self._processors = processors
        self._eos_id = eos_id
        self._longest = longest
        self._scores = np.full(self.width, _NEVER, np.float32)
        self._scores[0] = 0
        self._length = 0
        self._hypotheses: list[ScoredTrail] = []
        self._done = False

    def advance(
        self, step: StepView, slots: list[int], position: int, forced: int | None
    ) -> NextTokens:
        """See `DecodingStrategy`."""
        self._length += 1
        found = self._best(step, slots, position) if forced is None else self._forced(forced)
        ending = (found.tokens == self._eos_id) | (self._length >= self._longest)
        for place in np.flatnonzero(ending[: self.width]).tolist():
            self._finish(found, place, step, slots)
        open_scores = found.scores + ending * _NEVER
        chosen = np.argsort(-open_scores, kind="stable")[: self.width]
        self._scores = open_scores[chosen]
        self._done = bool(ending.all()) or not self._can_improve() or self._is_full_and_stops()
        return NextTokens(
            found.tokens[chosen], found.log_probs[chosen], found.parents[chosen], self._done
        )

    def finish_reason(self, _last: int | None, is_looping: bool) -> FinishReason | None:
        """See `DecodingStrategy`; a search ends later than its first slot may."""
        best = self._hypotheses[:1]
        if self._done:
            ends = bool(best) and best[0].trail.tokens[-1] == self._eos_id
            return FinishReason.EOS if ends else FinishReason.LENGTH
        if not is_looping:
            return None
        is_beaten = bool(best) and best[0].score >= self._open_rank()
        return FinishReason.EOS if is_beaten else FinishReason.REPETITION

    def certain(self, sequences: list[Ints]) -> int:
        """See `DecodingStrategy`."""
        return common_prefix([*sequences, *(best.trail.tokens for best in self._hypotheses[:1])])

    def results(self, trail: Trail, is_looping: bool) -> list[ScoredTrail]:
        """See `DecodingStrategy`; an open beam counts where no hypothesis, or none as good, is."""
        if is_looping or not self._hypotheses:
            return [ScoredTrail(self._open_rank(), trail), *self._hypotheses]
        return self._hypotheses

    def _forced(self, token: int) -> _Continuations:
        """The same token for every beam, which costs it nothing."""
        order = np.argsort(-self._scores, kind="stable")
        free = np.zeros(self.width, np.float32)
        return _Continuations(order, np.full_like(order, token), self._scores[order], free)

    def _best(self, step: StepView, slots: list[int], position: int) -> _Continuations:
        """The 2k best continuations, best first."""
        found = step.candidates(slots)
        totals = self._totals(step, slots, found)
        if self._decoding.constrained:
            tokens, scores, log_probs = self._processed(step, slots, position, found, totals)
        else:
            tokens, log_probs = found.ids, found.logits - totals[:, None]
            scores = log_probs
            if self._decoding.renormalize_logits:
                scores = found.logits - found.totals[:, None]
        ranks = (scores + self._scores[:, None]).ravel()
        best = np.argsort(-ranks, kind="stable")[: 2 * self.width]
        best = best[tokens.ravel()[best] >= 0]
        parents = best // tokens.shape[1]
        return _Continuations(parents, tokens.ravel()[best], ranks[best], log_probs.ravel()[best])

    def _processed(
        self,
        step: StepView,
        slots: list[int],
        position: int,
        found: Candidates,
        totals: Floats,
    ) -> tuple[Ints, Floats, Floats]:
        """The 2k best tokens of each beam, `[k,2k]`, with processed and plain log-probabilities."""
        wanted = 2 * self.width
        tokens = np.full((self.width, wanted), -1, np.int64)
        scores = np.full((self.width, wanted), -np.inf, np.float32)
        log_probs = scores.copy()
        for beam, slot in enumerate(slots):
            history = step.history[slot, : position + 1]
            ranking = found.ranking(beam, found.logits[beam] - totals[beam])
            sure = self._processors.revise(ranking, history)
            if sure.ids.size >= wanted and not self._decoding.renormalize_logits:
                ids, processed = sure.ids[:wanted], sure.scores[:wanted]
                places = np.flatnonzero(ids[:, None] == ranking.ids)  # row by row, one in each
                plain = ranking.scores[places % ranking.ids.size]
            else:
                every = step.logits(slot) - totals[beam]
                changed = self._processors(every, history)
                if self._decoding.renormalize_logits:
                    changed = _normalized(changed)
                ids = top(changed, wanted)
                processed, plain = changed[ids], every[ids]
            tokens[beam, : ids.size] = ids
            scores[beam, : ids.size] = processed
            log_probs[beam, : ids.size] = plain
        return tokens, scores, log_probs

    def _totals(self, step: StepView, slots: list[int], found: Candidates) -> Floats:
        """The log-sum-exps `[k]` of the logits of the whole vocabulary, as `transformers` has it.

        Where the session suppresses tokens its own leave them out; theirs are put back.
        """
        if "suppressed_logits" not in self.needs:
            return found.totals
        suppressed = step.outputs["suppressed_logits"][slots]
        missing = np.exp(suppressed - found.totals[:, None]).sum(axis=1)
        totals: Floats = found.totals + np.log1p(missing)
        return totals

    def _finish(self, found: _Continuations, place: int, step: StepView, slots: list[int]) -> None:
        """Makes a hypothesis of a continuation, unless there are k better ones."""
        rank = float(self._ranks(found.scores, self._length)[place])
        full = len(self._hypotheses) == self.width
        if rank == -np.inf or (full and rank <= self._hypotheses[-1].score):
            return
        slot, token = slots[found.parents[place]], int(found.tokens[place])
        trail = step.trail(slot, token, float(found.log_probs[place]))
        self._hypotheses.append(ScoredTrail(rank, trail))
        self._hypotheses.sort(key=lambda hypothesis: -hypothesis.score)
        del self._hypotheses[self.width :]

    def _ranks(self, scores: Floats, length: int) -> Floats:
        ranks: Floats = scores / np.float32(length**self._decoding.length_penalty)
        return ranks

    def _open_rank(self) -> float:
        """What the best open beam would be ranked by if it ended now."""
        return float(self._ranks(self._scores[:1], max(1, self._length))[0])

    def _can_improve(self) -> bool:
        """Whether the best open beam may yet beat the worst hypothesis."""
        decoding = self._decoding
        if len(self._hypotheses) < self.width:
            return True
        optimistic = decoding.early_stopping == "never" and decoding.length_penalty > 0
        length = self._longest if optimistic else self._length
        return bool(self._ranks(self._scores[:1], length)[0] > self._hypotheses[-1].score)

    def _is_full_and_stops(self) -> bool:
        return len(self._hypotheses) == self.width and self._decoding.early_stopping is True


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
