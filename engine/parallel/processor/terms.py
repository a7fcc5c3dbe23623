"""What a decoder's step consists of, as a sum of counts times what each of them takes."""

from typing import NamedTuple

from engine.model.config import ModelConfig
from engine.parallel.capacity.passes import decoder_layer_weights, head_weights


class StepTerms(NamedTuple):
    """The counts of a step; what is beside them, a step has once.

    `weights` are those of products, `layers` counts layers as wide as the reference models, and
    `tokens` the logits of a row.  `own` and `cross` are the positions of the answer and of the
    source that a row attends to, times layers and the values of their keys.
    """

    weights: float
    layers: float
    tokens: float
    own: float
    cross: float


def step_terms(config: ModelConfig, width: int, source: float, position: float) -> StepTerms:
    """Those of a step at a position; the reference models are as wide as `width`."""
    layers, block = config.decoder_layers, config.decoder_block
    values = layers * block.heads * block.head_width
    return StepTerms(
        weights=layers * decoder_layer_weights(config) + head_weights(config),
        layers=layers * block.width / width,
        tokens=config.vocab_size,
        own=0.0 if config.is_recurrent else values * position,
        cross=values * source,
    )
