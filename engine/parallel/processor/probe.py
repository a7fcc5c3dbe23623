"""Measures what one core of this processor does, with reference models.

No figure is of a shape that is planned: steps of models that differ in their sizes give, by
non-negative least squares (Lawson and Hanson 1974), what each size costs.
"""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from typing import NamedTuple, Self, TypedDict

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from engine.model.config import ModelConfig
from engine.parallel.processor.figures import WEIGHT_BYTES, CoreFigures, Curve, shares_of
from engine.parallel.processor.reference import Stored
from engine.parallel.processor.stopwatch import Stopwatch, stopwatch
from engine.parallel.processor.terms import StepTerms, step_terms

ROWS = (1, 4, 16, 64)
LAYERS: Mapping[Stored, tuple[int, ...]] = {"int8": (1, 2, 6, 18), "fp32": (1, 2, 4, 10)}
"""Of reference decoders, so that their weights lie in the second cache, the third, and memory."""

_WIDTH, _HEADS, _NARROW, WIDE = 512, 8, 64, 2048
_FEW, _MANY = 1024, 4096  # tokens of a vocabulary
_SHORT, _MIDDLE, _LONG, _POSITIONS = 8, 40, 200, 256
_TEXTS, _SOURCE = 8, 32
_SIZES = 4  # of what a step reads, for which a weight's seconds are found
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
    """The figures of one core, in about a minute.

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
        self.stored = stored
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
        steps = self._steps()
        terms = [_terms(one) for one in steps]
        reads = [WEIGHT_BYTES[self.stored] * each.weights for each in terms]
        sizes = np.geomspace(min(reads), max(reads), _SIZES).tolist()
        counts = np.array(
            [
                [*(weights * shares_of(read, sizes)), *others, 1.0]
                for (weights, *others), read in zip(terms, reads, strict=True)
            ]
        )
        values = []
        for rows in ROWS:
            seconds = [self._time(one._replace(rows=rows)) for one in steps]
            values.append(_fitted(counts, seconds))
        curves = [Curve(ROWS, tuple(curve)) for curve in np.transpose(values).tolist()]
        layer, token, own, cross, step = curves[_SIZES:]
        return CoreFigures(
            weight=tuple(zip(sizes, curves[:_SIZES], strict=True)),
            layer=layer,
            token=token,
            step=step,
            own=own,
            cross=cross,
            **self._encoder(),
            width=_WIDTH,
        )

    def _steps(self) -> list[_Pass]:
        """Of different sizes and positions, more than there are figures to find."""
        layers = LAYERS[self.stored]
        models = [
            reference_sizes(layers=each, hidden=wide) for each in layers for wide in (_NARROW, WIDE)
        ]
        models += [reference_sizes(layers=each, vocabulary=_MANY) for each in layers[::2]]
        steps = [_Pass(config, 1, _SHORT, _SHORT) for config in models]
        places = [(_SHORT, _MIDDLE), (_MIDDLE, _SHORT), (_SHORT, _LONG), (_LONG, _SHORT)]
        config = reference_sizes(layers=layers[1])
        return steps + [_Pass(config, 1, source, position) for source, position in places]

    def _encoder(self) -> "_EncoderFigures":
        config = reference_sizes(layers=LAYERS[self.stored][1])
        began, thin = self._encoded(config)
        long = self._time(_Pass(config, 1, _LONG, None)) - began
        _, thick = self._encoded(replace(config, encoder_ffn=WIDE))
        tokens = _TEXTS * _SOURCE
        encoded = (thick - thin) / (tokens * 2 * _WIDTH * (WIDE - _NARROW))
        # As many tokens in one text as in several: what is more is attention.
        scored = (long / _LONG - thin / tokens) / ((_LONG - _SOURCE) * _WIDTH)
        return {"encoded": max(encoded, 0.0), "scored": max(scored, 0.0), "began": began}

    def _encoded(self, config: ModelConfig) -> tuple[float, float]:
        """Seconds that a call takes for no token, and those of all tokens of several texts."""
        one = self._time(_Pass(config, 1, _SOURCE, None))
        all_texts = self._time(_Pass(config, _TEXTS, _SOURCE, None))
        began = max(0.0, (_TEXTS * one - all_texts) / (_TEXTS - 1))
        return began, all_texts - began

    def _time(self, one: _Pass) -> float:
        if one.config not in self._models:
            timed = self._open.enter_context(stopwatch(one.config, self.stored))
            self._models[one.config] = timed
        seconds = _seconds(self._models[one.config], one)
        self._least[one] = min(seconds, self._least.get(one, seconds))
        return self._least[one]


class _EncoderFigures(TypedDict):
    """See `CoreFigures`."""

    encoded: float
    scored: float
    began: float


def _terms(one: _Pass) -> StepTerms:
    assert one.position is not None
    return step_terms(one.config, _WIDTH, one.source, one.position)


def _fitted(counts: NDArray[np.float64], seconds: list[float]) -> NDArray[np.float64]:
    """What each count takes, none of it below 0, so that shares of `seconds` are met best."""
    shares = counts / np.array(seconds)[:, None]
    largest = shares.max(axis=0)
    found, _ = nnls(shares / largest, np.ones(len(seconds)))
    return np.asarray(found / largest)


def _seconds(timed: Stopwatch, one: _Pass) -> float:
    if one.position is None:
        return timed.encoder_seconds(one.rows, one.source)
    return timed.step_seconds(one.rows, one.source, one.position)


def reference_sizes(
    layers: int,
    hidden: int = _NARROW,
    vocabulary: int = _FEW,
) -> ModelConfig:
    """A reference model: the decoder has so many layers, each as wide as `hidden`."""
    return replace(
        _BASE,
        decoder_layers=layers,
        decoder_ffn=hidden,
        vocab_size=vocabulary,
    )
