"""What one core of this processor does: micro-figures, each measured with reference models.

No figure is of a shape that is planned: a difference between two reference models, which differ in
one size, gives what that size costs.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from engine.model.config import ModelConfig
from engine.parallel.processor.reference import Stored
from engine.parallel.processor.stopwatch import Stopwatch, stopwatch

ROWS = (1, 4, 16, 64)
LAYERS: Mapping[Stored, tuple[int, ...]] = {"int8": (1, 2, 6, 18), "fp32": (1, 2, 4, 10)}
"""Of reference decoders, so that their weights lie in the second cache, the third, and memory."""
WEIGHT_BYTES: Mapping[Stored, int] = {"int8": 1, "fp32": 4}

_WIDTH, _HEADS, _NARROW, WIDE = 512, 8, 64, 2048
_FEW, _MANY = 1024, 4096  # tokens of a vocabulary
_SHORT, _LONG, _POSITIONS = 8, 200, 256
_ATTENTION_ROWS, _TEXTS, _SOURCE = 16, 8, 32
_BASE = ModelConfig(
    vocab_size=_FEW,
    encoder_layers=1,
    decoder_layers=1,
    encoder_heads=_HEADS,
    decoder_heads=_HEADS,
    d_model=_WIDTH,
    encoder_ffn=_NARROW,
    decoder_ffn=_NARROW,
    max_positions=_POSITIONS,
)


@dataclass(frozen=True)
class Curve:
    """Values at numbers of rows, between which they grow evenly."""

    rows: tuple[int, ...]
    values: tuple[float, ...]

    def at(self, rows: float) -> float:
        """Beyond the most rows it grows as the rows do."""
        most = self.rows[-1]
        if rows > most:
            return self.values[-1] * rows / most
        return float(np.interp(rows, self.rows, self.values))


@dataclass(frozen=True)
class CoreFigures:
    """Seconds on one core, of one way to store weights; curves are over the rows of a step.

    `weight` has a curve of the time that all rows take for a weight of a product, for each number
    of bytes that a step reads. `layer` is what a layer of `_WIDTH` takes beside its products and
    the positions it attends to, `token` what is looked at of a token's logits, `step` a step's
    rest. `own` and `cross` are for a row, a position and a head's value, `encoded` for a token and
    a weight, `scored` for two tokens and a head's value, `began` for a call of the encoder.
    """

    weight: tuple[tuple[float, Curve], ...]
    layer: Curve
    token: Curve
    step: Curve
    own: float
    cross: float
    encoded: float
    scored: float
    began: float
    width: int = _WIDTH

    def weight_seconds(self, rows: float, read: float) -> float:
        """For a weight, of a decoder with so many bytes of weights."""
        return _weight_seconds(self.weight, rows, read)


def measure_core(stored: Stored) -> CoreFigures:
    """The figures of one core, in some seconds.

    Raises:
        NativeMissingError: the native library was not built.

    """
    each = WEIGHT_BYTES[stored]
    thin: dict[int, dict[int, float]] = {}
    weight: list[tuple[float, Curve]] = []
    products = _layer_weights(_NARROW)
    for layers in LAYERS[stored]:
        thin[layers] = _steps(reference_sizes(layers=layers), stored)
        thick = _steps(reference_sizes(layers=layers, hidden=WIDE), stored)
        more = layers * (_layer_weights(WIDE) - products)
        read = each * (layers * _layer_weights(WIDE) + _WIDTH * _FEW)
        values = [max(thick[rows] - thin[layers][rows], 1e-9) / more for rows in ROWS]
        weight.append((float(read), Curve(ROWS, tuple(values))))
    beside = _beside_products(stored)
    few, many = LAYERS[stored][:2]
    attended = (_SHORT + _SHORT) * _WIDTH

    def product_seconds(rows: int, count: int, read: float) -> float:
        return count * _weight_seconds(weight, rows, read)

    def read_by(layers: int, vocabulary: int = _FEW) -> float:
        return float(each * (layers * products + _WIDTH * vocabulary))

    layer, token, step = [], [], []
    wide = _steps(reference_sizes(layers=few, vocabulary=_MANY), stored)
    for rows in ROWS:
        attention = rows * attended * (beside.own + beside.cross) / 2
        more = (many - few) * products
        grown = thin[many][rows] - thin[few][rows] - product_seconds(rows, more, read_by(many))
        layer.append(max(0.0, grown / (many - few) - attention))
        head = product_seconds(rows, _WIDTH * (_MANY - _FEW), read_by(few, _MANY))
        token.append(max(0.0, wide[rows] - thin[few][rows] - head) / (_MANY - _FEW))
        rest = product_seconds(rows, few * products + _WIDTH * _FEW, read_by(few))
        rest += few * (layer[-1] + attention) + _FEW * token[-1]
        step.append(max(0.0, thin[few][rows] - rest))
    return CoreFigures(
        weight=tuple(weight),
        layer=Curve(ROWS, tuple(layer)),
        token=Curve(ROWS, tuple(token)),
        step=Curve(ROWS, tuple(step)),
        own=beside.own,
        cross=beside.cross,
        encoded=beside.encoded,
        scored=beside.scored,
        began=beside.began,
    )


def _weight_seconds(curves: Sequence[tuple[float, Curve]], rows: float, read: float) -> float:
    sizes = np.log([size for size, _ in curves])
    values = np.log([curve.at(rows) for _, curve in curves])
    return float(np.exp(np.interp(math.log(read), sizes, values)))


class _Beside(NamedTuple):
    """What is not a step's products; see `CoreFigures`."""

    own: float
    cross: float
    encoded: float
    scored: float
    began: float


def _beside_products(stored: Stored) -> _Beside:
    rows, layers, more = _ATTENTION_ROWS, 2, _LONG - _SHORT
    with stopwatch(reference_sizes(layers=layers), stored) as timed:
        short = timed.step_seconds(rows, _SHORT, _SHORT)
        values = rows * layers * more * _WIDTH
        own = (timed.step_seconds(rows, _SHORT, _LONG) - short) / values
        cross = (timed.step_seconds(rows, _LONG, _SHORT) - short) / values
        began, thin = _encoded(timed)
        long = timed.encoder_seconds(1, _LONG) - began
    with stopwatch(reference_sizes(layers=layers, encoder_hidden=WIDE), stored) as timed:
        _, thick = _encoded(timed)
    tokens = _TEXTS * _SOURCE
    encoded = (thick - thin) / (tokens * 2 * _WIDTH * (WIDE - _NARROW))
    # As many tokens in one text as in several: what is more is attention.
    scored = (long / _LONG - thin / tokens) / ((_LONG - _SOURCE) * _WIDTH)
    return _Beside(max(own, 0.0), max(cross, 0.0), encoded, max(scored, 0.0), began)


def _encoded(timed: Stopwatch) -> tuple[float, float]:
    """Seconds that a call takes for no token, and those of all tokens of several texts."""
    one = timed.encoder_seconds(1, _SOURCE)
    all_texts = timed.encoder_seconds(_TEXTS, _SOURCE)
    began = max(0.0, (_TEXTS * one - all_texts) / (_TEXTS - 1))
    return began, all_texts - began


def _steps(config: ModelConfig, stored: Stored) -> dict[int, float]:
    """The seconds of a step by rows."""
    with stopwatch(config, stored) as timed:
        return {rows: timed.step_seconds(rows, _SHORT, _SHORT) for rows in ROWS}


def reference_sizes(
    layers: int,
    hidden: int = _NARROW,
    vocabulary: int = _FEW,
    encoder_hidden: int = _NARROW,
) -> ModelConfig:
    """A reference model: the decoder has so many layers, each as wide as `hidden`."""
    return replace(
        _BASE,
        decoder_layers=layers,
        decoder_ffn=hidden,
        vocab_size=vocabulary,
        encoder_ffn=encoder_hidden,
    )


def _layer_weights(hidden: int) -> int:
    return 6 * _WIDTH * _WIDTH + 2 * _WIDTH * hidden
