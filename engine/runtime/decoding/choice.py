"""Choosing one token from processed logits: the best, or a drawn one."""

from engine.runtime.decoding.processors import Processors
from engine.runtime.decoding.sampling import Sampler
from engine.runtime.decoding.selection import Floats, Ints


class Choice:
    """How a row without beams chooses; without a sampler, greedily."""

    def __init__(self, processors: Processors, sampler: Sampler | None) -> None:
        self._processors = processors
        self._sampler = sampler

    def choose(self, logits: Floats, history: Ints) -> int:
        """The next token, given the model's logits `[V]`."""
        scores = self._processors(logits, history)
        return int(scores.argmax()) if self._sampler is None else self._sampler.draw(scores)
