"""Strategies of one slot: the best token, or a drawn one, step by step."""

from engine.contract.events import FinishReason
from engine.runtime.decoding.processors import Processors
from engine.runtime.decoding.sampling import Sampler
from engine.runtime.decoding.selection import Floats, Ints
from engine.runtime.decoding.strategy import NextTokens, StepView
from engine.runtime.decoding.trail import ScoredTrail, Trail


class GreedySearch:
    """The most probable token, which the session itself chooses. See `DecodingStrategy`."""

    width = 1
    needs: frozenset[str] = frozenset()

    def __init__(self, eos_id: int) -> None:
        self._eos_id = eos_id

    def advance(
        self, _step: StepView, _slots: list[int], _position: int, _forced: int | None
    ) -> NextTokens | None:
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

    needs = frozenset({"logits", "all_log_probs"})

    def __init__(self, eos_id: int, processors: Processors, sampler: Sampler | None = None) -> None:
        super().__init__(eos_id)
        self._processors = processors
        self._sampler = sampler

    def advance(
        self, step: StepView, slots: list[int], position: int, forced: int | None
    ) -> NextTokens | None:
        """See `DecodingStrategy`."""
        if forced is not None:
            return None
        slot = slots[0]
        history = step.history[slot, : position + 1]
        token = self.select(step.outputs["logits"][slot], history)
        return NextTokens((token,), (step.outputs["all_log_probs"][slot, token],))

    def select(self, logits: Floats, history: Ints) -> int:
        """The next token, given the model's logits `[V]`."""
        scores = self._processors(logits, history)
        return int(scores.argmax()) if self._sampler is None else self._sampler.draw(scores)
