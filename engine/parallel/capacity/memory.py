"""What a rank's memory holds, in bytes.

The session of PyTorch takes memory for `rows` rows of the longest texts when it loads, and once
more for the sources that are admitted (`engine.runtime.sessions.torch.memory`).
"""

from dataclasses import dataclass

from engine.export.memory_budget import LIVE
from engine.export.precision.recipes import Precision
from engine.model.config import ModelConfig
from engine.parallel.capacity.accelerators import ASSUMED, stored_bytes, value_bytes
from engine.parallel.capacity.passes import (
    cross_weights,
    decoder_layer_weights,
    encoder_layer_weights,
    head_weights,
)
from engine.parallel.layout import Layout
from engine.runtime.batching.scheduler import Limits

LARGE = 600_000_000
"""INT8 weights from which a GPU keeps them so (`engine.runtime.sessions.torch.products`)."""

_STARTING_TOKENS = 16
"""Source tokens for each slot that are encoded at once (`engine.runtime.sessions.placement`)."""


@dataclass(frozen=True)
class MemoryNeed:
    """Bytes of a rank. `own` and `cross` are keys and values of answers and of sources."""

    weights: float
    own: float
    cross: float
    activations: float
    reserve: float

    @property
    def total(self) -> float:
        """Of all."""
        return self.weights + self.own + self.cross + self.activations + self.reserve


def product_weights(config: ModelConfig) -> int:
    """The weights of all products of the model."""
    encoder = config.encoder_layers * encoder_layer_weights(config)
    decoder = config.decoder_layers * decoder_layer_weights(config)
    return encoder + cross_weights(config) + decoder + head_weights(config)


def table_values(config: ModelConfig) -> int:
    """Those of embeddings, of sources too where these have their own, and of positions."""
    tokens = config.vocab_size + config.source_vocab_size
    places = 0 if config.positions == "relative" else 2 * config.max_positions
    return (tokens + places) * config.d_model


def weight_bytes(config: ModelConfig, precision: Precision, layout: Layout) -> float:
    """What a GPU keeps of parameters: tables whole, of products its part."""
    products = product_weights(config)
    each = stored_bytes(precision, large=products >= LARGE)
    table = value_bytes(precision)
    return products * each / layout.tensor + table_values(config) * table


def memory_need(config: ModelConfig, precision: Precision, rows: int, layout: Layout) -> MemoryNeed:
    """A rank of a GPU that runs `rows` rows, of the longest sources and answers."""
    block, value = config.decoder_block, value_bytes(precision)
    pair = config.decoder_layers * 2 * block.heads * block.head_width * value / layout.tensor
    own: float = rows * config.max_answer * pair
    if config.is_recurrent:
        own = rows * config.decoder_layers * 2 * config.d_model * 4
    cross = 2 * rows * config.max_positions * pair / layout.sequence
    return MemoryNeed(
        weight_bytes(config, precision, layout),
        own,
        cross,
        _activations(config, rows, value, layout),
        ASSUMED.reserve,
    )


def _activations(config: ModelConfig, rows: int, value: int, layout: Layout) -> float:
    """Of the encoder's tokens, or of a step with its logits, whichever is more."""
    block = config.encoder_block
    tokens = max(Limits.encoder_tokens, _STARTING_TOKENS * rows, config.max_positions)
    wide = LIVE * (max(block.width, block.heads * block.head_width) + block.hidden)
    encoder = tokens / layout.sequence * wide * value
    logits = 2 * rows * config.vocab_size * 4 / layout.tensor
    return max(encoder, logits)
