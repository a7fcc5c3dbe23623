"""How long this processor takes for passes of any model, from its figures."""

from dataclasses import dataclass

from engine.model.config import ModelConfig
from engine.parallel.capacity.passes import attended, cross_weights, encoder_layer_weights
from engine.parallel.processor.figures import WEIGHT_BYTES, CoreFigures
from engine.parallel.processor.reference import Stored
from engine.parallel.processor.terms import step_terms

_ENCODED_TOGETHER = 256
"""Tokens that native code encodes together (`kEncodedTogether` of `forward.h`)."""


@dataclass(frozen=True)
class ProcessorTimes:
    """See `PassTimes`: of a group that is one core, beside others that slow it by `contention`."""

    config: ModelConfig
    stored: Stored
    figures: CoreFigures
    contention: float = 1.0

    def encoder_seconds(self, texts: float, source: float) -> float:
        """See `PassTimes`."""
        config, figures = self.config, self.figures
        weights = config.encoder_layers * encoder_layer_weights(config) + cross_weights(config)
        inner = config.encoder_heads * config.encoder_block.head_width
        scored = config.encoder_layers * attended(config, source) * inner * figures.scored
        tokens = texts * source
        calls = max(1.0, tokens / _ENCODED_TOGETHER)
        # Fewer tokens read the weights as often as many.
        few = max(1.0, 16 / tokens)
        seconds = tokens * (weights * figures.encoded * few + scored) + calls * figures.began
        return self.contention * seconds

    def step_seconds(self, rows: float, source: float, position: float) -> float:
        """See `PassTimes`."""
        terms = step_terms(self.config, self.figures.width, source, position)
        read = terms.weights * WEIGHT_BYTES[self.stored]
        return self.contention * self.figures.step_seconds(terms, read, rows)
