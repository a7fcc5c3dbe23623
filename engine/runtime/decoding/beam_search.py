"""Beam search: the hypotheses of one text, and whether its search goes on.

The bookkeeping is that of `transformers` 5.23 (`GenerationMixin._beam_search`), of one row of its
batch, whose rows do not touch each other; `beam_step.py` has what happens at each step.
Hypotheses are ranked by sum of log-probabilities / length^length_penalty, where Wu et al. 2016
(arXiv:1609.08144) have ((5 + length) / 6)^alpha.
Scores are FP32 as there.
"""

from typing import NamedTuple

import numpy as np

from engine.contract.events import FinishReason
from engine.runtime.decoding.candidates import MOST_CANDIDATES, SPARE
from engine.runtime.decoding.processors import Processors
from engine.runtime.decoding.selection import Floats, Ints, top
from engine.runtime.decoding.settings import Decoding
from engine.runtime.decoding.strategy import StepView
from engine.runtime.decoding.trail import ScoredTrail, Trail, common_prefix


class EndedBeam(NamedTuple):
    """A beam of text `text` whose answer ends with `token` after what a slot has made."""

    text: int
    slot: int
    token: int
    score: float
    log_prob: float


class BeamSearch:
    """The search of one row. See `DecodingStrategy`.

    An answer has at most `longest` tokens. `outputs` are those that a step can give.
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
        self.constrained = decoding.constrained
        self.renormalizes = decoding.renormalize_logits
        spare = SPARE if self.constrained else 0
        self.candidates = min(2 * self.width + spare, MOST_CANDIDATES)
        self.needs = frozenset({"candidates"} | ({"suppressed_logits"} & outputs))
        self.eos_id = eos_id
        self.is_complete = False
        self._longest = longest
        self._length = 0
        self._open_score = 0.0
        self._decoding = decoding
        self._processors = processors
        self._hypotheses: list[ScoredTrail] = []

    @property
    def search(self) -> "BeamSearch":
        """See `DecodingStrategy`."""
        return self

    def choose(self, _step: StepView, _slot: int) -> None:
        """See `DecodingStrategy`; all texts' beams are chosen at once."""

    def constrain(
        self, step: StepView, slots: list[int], totals: Floats
    ) -> tuple[Ints, Floats, Floats]:
        """The 2k best tokens of each beam, `[k,2k]`, with processed and plain log-probabilities.

        `totals [k]` are the log-sum-exps of their logits.
        """
        wanted = 2 * self.width
        found = step.candidates(slots, self.candidates)
        tokens = np.full((self.width, wanted), -1, np.int64)
        scores = np.full((self.width, wanted), -np.inf, np.float32)
        log_probs = scores.copy()
        for beam, slot in enumerate(slots):
            history = step.history(slot)
            ranking = found.ranking(beam, found.logits[beam] - totals[beam])
            sure = self._processors.revise(ranking, history)
            if sure.ids.size >= wanted and not self.renormalizes:
                ids, processed = sure.ids[:wanted], sure.scores[:wanted]
                places = np.flatnonzero(ids[:, None] == ranking.ids)  # row by row, one in each
                plain = ranking.scores[places % ranking.ids.size]
            else:
                every = step.logits(slot) - totals[beam]
                changed = self._processors(every, history)
                if self.renormalizes:
                    changed = _normalized(changed)
                ids = top(changed, wanted)
                processed, plain = changed[ids], every[ids]
            tokens[beam, : ids.size] = ids
            scores[beam, : ids.size] = processed
            log_probs[beam, : ids.size] = plain
        return tokens, scores, log_probs

    def end_beam(self, step: StepView, ended: EndedBeam) -> None:
        """Makes a hypothesis of a beam, unless there are k better."""
        rank = self._rank(ended.score, self._length + 1)
        full = len(self._hypotheses) == self.width
        if not rank > -np.inf or (full and rank <= self._hypotheses[-1].score):
            return
        trail = step.trail(ended.slot, ended.token, ended.log_prob)
        self._hypotheses.append(ScoredTrail(rank, trail))
        self._hypotheses.sort(key=lambda hypothesis: -hypothesis.score)
        del self._hypotheses[self.width :]

    def go_on(self, open_score: float, *, is_over: bool) -> bool:
        """Takes the score of the best of the next beams; where it `is_over`, nothing follows.

        Returns:
            Whether the search is complete.

        """
        self._length += 1
        self._open_score = open_score
        self.is_complete = is_over or (
            len(self._hypotheses) == self.width
            and (self._decoding.early_stopping is True or not self._can_improve())
        )
        return self.is_complete

    def finish_reason(self, _last: int | None, is_looping: bool) -> FinishReason | None:
        """See `DecodingStrategy`; a search ends later than its first slot may."""
        best = self._hypotheses[:1]
        if self.is_complete:
            ends = bool(best) and best[0].trail.tokens[-1] == self.eos_id
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

    def _rank(self, score: float, length: int) -> float:
        return float(np.float32(score) / np.float32(length**self._decoding.length_penalty))

    def _open_rank(self) -> float:
        """What the best open beam would be ranked by if it ended now."""
        return self._rank(self._open_score, max(1, self._length))

    def _can_improve(self) -> bool:
        """Whether the best open beam may yet beat the worst of k hypotheses."""
        decoding = self._decoding
        optimistic = decoding.early_stopping == "never" and decoding.length_penalty > 0
        length = self._longest if optimistic else self._length
        return self._rank(self._open_score, length) > self._hypotheses[-1].score


def _normalized(scores: Floats) -> Floats:
    """Log-probabilities that sum to 1 again after some were taken out or changed."""
    largest = scores.max()
    if not np.isfinite(largest):
        return scores
    normal: Floats = scores - (largest + np.log(np.exp(scores - largest).sum()))
    return normal
