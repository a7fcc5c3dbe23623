"""Strategies of one slot: the best token, or a drawn one, step by step."""

import numpy as np

from engine.contract.events import FinishReason
from engine.runtime.decoding.beam_search import BeamSearch
from engine.runtime.decoding.candidates import MOST_CANDIDATES, SPARE, Ranking
from engine.runtime.decoding.processors import Processors
from engine.runtime.decoding.sampling import Sampler
from engine.runtime.decoding.selection import Floats, Ints
from engine.runtime.decoding.strategy import StepView
from engine.runtime.decoding.trail import ScoredTrail, Trail


class GreedySearch:
    """The most probable token, which the session itself chooses. See `DecodingStrategy`."""

    width = 1
    candidates = 0
    needs: frozenset[str] = frozenset()

    def __init__(self, eos_id: int) -> None:
        self._eos_id = eos_id

    @property
    def search(self) -> BeamSearch | None:
        """See `DecodingStrategy`."""
        return None

    def choose(self, _step: StepView, _slot: int) -> tuple[int, np.float32] | None:
        """See `DecodingStrategy`."""
        return None

    def finish_reason(self, last: int | None, is_looping: bool) -> FinishReason | None:
        """See `DecodingStrategy`."""
        if last is None:
            return FinishReason.REPETITION if is_looping else None
        return FinishReason.EOS if last == self._eos_id else FinishReason.LENGTH

    def certain(self, sequences: list[Ints]) -> int:
        """See `DecodingStrategy`."""
        return sequences[0].size

    def results(self, trail: Trail, _is_looping: bool) -> list[ScoredTrail]:
        """See `DecodingStrategy`."""
        return [ScoredTrail(trail.log_prob, trail)]


class TokenSelection(GreedySearch):
    """A token selected from processed logits: with a sampler a drawn one, else the best."""

    def __init__(self, eos_id: int, processors: Processors, sampler: Sampler | None = None) -> None:
        super().__init__(eos_id)
        self._processors = processors
        self._sampler = sampler
        wanted = 1 + SPARE if sampler is None else sampler.candidates
        self.candidates = min(wanted, MOST_CANDIDATES)
        self.needs = frozenset({"candidates"} | ({"logits"} if wanted > MOST_CANDIDATES else set()))

    def choose(self, step: StepView, slot: int) -> tuple[int, np.float32]:
        """See `DecodingStrategy`."""
        history = step.history(slot)
        found = step.candidates([slot], self.candidates)
        token = self._surely(self._processors.revise(found.ranking(0, found.logits[0]), history))
        if token is None:
            logits = step.logits(slot)
            token = self.select(logits, history)
            logit = logits[token]
        else:
            logit = found.logits[0, found.ids[0] == token][0]
        return token, logit - found.totals[0]

    def _surely(self, ranking: Ranking) -> int | None:
        """The token that `select` gives, or None where the ranking does not say so."""
        if self._sampler is not None:
            return self._sampler.draw_ranked(ranking)
        return int(ranking.ids[0]) if ranking.ids.size else None

    def select(self, logits: Floats, history: Ints) -> int:
        """The next token, given the model's logits `[V]`."""
        scores = self._processors(logits, history)
        return int(scores.argmax()) if self._sampler is None else self._sampler.draw(scores)
