"""Measures what one core of this processor does, with reference models.

No figure is of a shape that is planned: a difference between two reference models, which differ in
one size, gives what that size costs.
"""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from typing import NamedTuple, Self

from engine.model.config import ModelConfig
from engine.parallel.processor.figures import WEIGHT_BYTES, CoreFigures, Curve, weight_seconds
from engine.parallel.processor.reference import Stored
from engine.parallel.processor.stopwatch import Stopwatch, stopwatch

ROWS = (1, 4, 16, 64)
LAYERS: Mapping[Stored, tuple[int, ...]] = {"int8": (1, 2, 6, 18), "fp32": (1, 2, 4, 10)}
"""Of reference decoders, so that their weights lie in the second cache, the third, and memory."""

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
_ROUNDS = 3


def measure_core(stored: Stored) -> CoreFigures:
    """The figures of one core, in some seconds.

    Raises:
        NativeMissingError: the native library was not built.

    """
    with CoreProbe(stored) as probe:
        for _ in range(_ROUNDS - 1):
            probe.figures()
        return probe.figures()


class _Pass(NamedTuple):
    """A step of so many rows at a position, or with None the encoder's pass of so many texts."""

    config: ModelConfig
    rows: int
    source: int
    position: int | None


class CoreProbe:
    """Reference models that are timed round after round; leave it as a context manager.

    A neighbour that slows the core down for some seconds falls on few of the rounds, of which the
    least seconds of each pass count.
    """

    def __init__(self, stored: Stored) -> None:
        self._stored = stored
        self._open = ExitStack()
        self._models: dict[ModelConfig, Stopwatch] = {}
        self._least: dict[_Pass, float] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._models.clear()
        self._open.close()

    def figures(self) -> CoreFigures:
        """Times every pass once more; the figures by the least seconds of all rounds so far.

        Raises:
            NativeMissingError: the native library was not built.

        """
        each = WEIGHT_BYTES[self._stored]
        thin: dict[int, dict[int, float]] = {}
        weight: list[tuple[float, Curve]] = []
        products = _layer_weights(_NARROW)
        for layers in LAYERS[self._stored]:
            thin[layers] = self._steps(reference_sizes(layers=layers))
            thick = self._steps(reference_sizes(layers=layers, hidden=WIDE))
            more = layers * (_layer_weights(WIDE) - products)
            read = each * (layers * _layer_weights(WIDE) + _WIDTH * _FEW)
            values = [max(thick[rows] - thin[layers][rows], 1e-9) / more for rows in ROWS]
            weight.append((float(read), Curve(ROWS, tuple(values))))
        beside = self._beside_products()
        few, many = LAYERS[self._stored][:2]
        attended = (_SHORT + _SHORT) * _WIDTH

        def product_seconds(rows: int, count: int, read: float) -> float:
            return count * weight_seconds(weight, rows, read)

        def read_by(layers: int, vocabulary: int = _FEW) -> float:
            return float(each * (layers * products + _WIDTH * vocabulary))

        layer, token, step = [], [], []
        wide = self._steps(reference_sizes(layers=few, vocabulary=_MANY))
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
            width=_WIDTH,
        )

    def _beside_products(self) -> "_Beside":
        rows, layers, more = _ATTENTION_ROWS, 2, _LONG - _SHORT
        config = reference_sizes(layers=layers)
        short = self._time(_Pass(config, rows, _SHORT, _SHORT))
        values = rows * layers * more * _WIDTH
        own = (self._time(_Pass(config, rows, _SHORT, _LONG)) - short) / values
        cross = (self._time(_Pass(config, rows, _LONG, _SHORT)) - short) / values
        began, thin = self._encoded(config)
        long = self._time(_Pass(config, 1, _LONG, None)) - began
        _, thick = self._encoded(reference_sizes(layers=layers, encoder_hidden=WIDE))
        tokens = _TEXTS * _SOURCE
        encoded = (thick - thin) / (tokens * 2 * _WIDTH * (WIDE - _NARROW))
        # As many tokens in one text as in several: what is more is attention.
        scored = (long / _LONG - thin / tokens) / ((_LONG - _SOURCE) * _WIDTH)
        return _Beside(max(own, 0.0), max(cross, 0.0), encoded, max(scored, 0.0), began)

    def _encoded(self, config: ModelConfig) -> tuple[float, float]:
        """Seconds that a call takes for no token, and those of all tokens of several texts."""
        one = self._time(_Pass(config, 1, _SOURCE, None))
        all_texts = self._time(_Pass(config, _TEXTS, _SOURCE, None))
        began = max(0.0, (_TEXTS * one - all_texts) / (_TEXTS - 1))
        return began, all_texts - began

    def _steps(self, config: ModelConfig) -> dict[int, float]:
        """The seconds of a step by rows."""
        return {rows: self._time(_Pass(config, rows, _SHORT, _SHORT)) for rows in ROWS}

    def _time(self, one: _Pass) -> float:
        if one.config not in self._models:
            timed = self._open.enter_context(stopwatch(one.config, self._stored))
            self._models[one.config] = timed
        seconds = _seconds(self._models[one.config], one)
        self._least[one] = min(seconds, self._least.get(one, seconds))
        return self._least[one]


class _Beside(NamedTuple):
    """What is not a step's products; see `CoreFigures`."""

    own: float
    cross: float
    encoded: float
    scored: float
    began: float


def _seconds(timed: Stopwatch, one: _Pass) -> float:
    if one.position is None:
        return timed.encoder_seconds(one.rows, one.source)
    return timed.step_seconds(one.rows, one.source, one.position)


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
