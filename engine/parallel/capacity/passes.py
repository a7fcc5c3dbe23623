"""What a pass of the model computes, reads and sends, for each rank of a group.

A product of `m` rows with a matrix `[k,n]` is `2 m k n` FLOPs; only matrix products are counted,
those of attention among them.  In a group, `tensor` ranks have equal parts of heads, feed-forward
columns and vocabulary (Megatron-LM: Shoeybi et al. 2019, arXiv:1909.08053), and `sequence` ranks
equal parts of the source's tokens; a decoder's own part is done by each of these.
"""

from dataclasses import dataclass

from engine.model.config import BlockConfig, ModelConfig
from engine.parallel.layout import Layout

ALONE = Layout()


@dataclass(frozen=True)
class Exchange:
    """Collectives that a rank takes part in: `times` of them, of so many `values` in all.

    An all-reduce sums `values` that every rank has, an all-gather joins parts to `values`, and in a
    halo a rank sends `values` to its two neighbours.
    """

    kind: str
    ranks: int
    times: int
    values: float


@dataclass(frozen=True)
class Pass:
    """A pass of one rank.

    `flops` are those of its products, `attention_flops` those among them that read caches or
    scores; `weights` and `cached` are the values that it reads of parameters and of caches.
    """

    layers: int
    flops: float
    attention_flops: float
    weights: float
    cached: float
    exchanges: tuple[Exchange, ...]


def encoder_layer_weights(config: ModelConfig) -> int:
    """Weights of the products of an encoder's layer."""
    block = config.encoder_block
    return 4 * block.width * _inner(block) + _feed_forward(block)


def decoder_layer_weights(config: ModelConfig) -> int:
    """Those that a step multiplies with: keys and values of the source are the encoder's."""
    block = config.decoder_block
    own = 2 * block.width**2 if config.is_recurrent else 4 * block.width * _inner(block)
    return own + 2 * block.width * _inner(block) + _feed_forward(block)


def head_weights(config: ModelConfig) -> int:
    """Those of the matrix that makes logits."""
    return config.d_model * config.vocab_size


def cross_weights(config: ModelConfig) -> int:
    """Those that make keys and values of the source, for all layers of the decoder."""
    return config.decoder_layers * 2 * config.d_model * _inner(config.decoder_block)


def encoder_pass(config: ModelConfig, texts: float, source: float, layout: Layout = ALONE) -> Pass:
    """Encodes `texts` of `source` tokens each, cross keys and values included."""
    block, layers = config.encoder_block, config.encoder_layers
    weights = layers * encoder_layer_weights(config) + cross_weights(config)
    tokens = texts * source / layout.sequence
    # Each rank that has a part of the source makes keys and values of all of its sums.
    keys, sums = attended(config, source), texts * _sums(config, source)
    attention = 4 * layers * tokens * keys * _inner(block) / layout.tensor
    of_sums = layers * 2 * block.width * _inner(block)  # their keys and values
    flops = 2 * (tokens * weights + sums * of_sums) / layout.tensor + attention
    exchanges = [
        Exchange("all-reduce", layout.tensor, 2 * layers, 2 * layers * tokens * block.width),
        *_source_exchanges(config, layers * texts, source, layout),
    ]
    return Pass(layers, flops, attention, weights / layout.tensor, 0.0, _needed(exchanges))


def decoder_step(
    config: ModelConfig, rows: float, source: float, position: float, layout: Layout = ALONE
) -> Pass:
    """Makes a token for each of `rows`, which attends to `position` tokens of its own answer."""
    block, layers = config.decoder_block, config.decoder_layers
    weights = layers * decoder_layer_weights(config) + head_weights(config)
    own = 0.0 if config.is_recurrent else position
    attended = (own + source / layout.sequence) / layout.tensor
    cached = rows * layers * 2 * _inner(block) * attended
    flops = 2 * rows * weights / layout.tensor + 2 * cached
    merged = layers * rows * (_inner(block) + block.heads) * layout.sequence / layout.tensor
    exchanges = [
        Exchange("all-reduce", layout.tensor, 3 * layers, 3 * layers * rows * block.width),
        Exchange("all-gather", layout.sequence, layers, merged),
        Exchange("all-gather", layout.tensor, 1, rows * 4.0 * layout.tensor),
    ]
    return Pass(layers, flops, 2 * cached, weights / layout.tensor, cached, _needed(exchanges))


def _source_exchanges(
    config: ModelConfig, sources: float, source: float, layout: Layout
) -> list[Exchange]:
    """What ranks that share sources send for so many of them, counted once for each layer."""
    block, layers, ranks = config.encoder_block, config.encoder_layers, layout.sequence
    pair = 2 * _inner(block) / layout.tensor
    if config.encoder_attention == "full":
        return [Exchange("all-gather", ranks, layers, sources * source * pair)]
    found = [Exchange("halo", ranks, layers, sources * 2 * config.local_radius * pair)]
    if config.has_globals:
        sums = sources * _sums(config, source) * block.width
        found.append(Exchange("all-reduce", ranks, layers, sums))
    return found


def attended(config: ModelConfig, source: float) -> float:
    """How many keys a query of the encoder is compared with.

    Sessions compute some more: they take queries in groups, whose windows are one.
    """
    if config.encoder_attention == "full":
        return source
    return min(source, 2 * config.local_radius + 1) + _sums(config, source)


def _sums(config: ModelConfig, source: float) -> float:
    """How many sums of blocks a source has."""
    return source // config.global_block if config.has_globals else 0.0


def _needed(exchanges: list[Exchange]) -> tuple[Exchange, ...]:
    return tuple(one for one in exchanges if one.ranks > 1)


def _inner(block: BlockConfig) -> int:
    return block.heads * block.head_width


def _feed_forward(block: BlockConfig) -> int:
    return block.width * block.hidden * (3 if block.gated else 2)
