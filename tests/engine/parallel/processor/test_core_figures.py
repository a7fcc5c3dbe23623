"""The processor's figures: what is planted in a stopwatch is found, and predicts other shapes."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from engine.model.config import ModelConfig
from engine.parallel.capacity.passes import (
    cross_weights,
    decoder_layer_weights,
    encoder_layer_weights,
    head_weights,
)
from engine.parallel.processor import probe as measured
from engine.parallel.processor.figures import WEIGHT_BYTES, Curve
from engine.parallel.processor.probe import ROWS, measure_core
from engine.parallel.processor.reference import Stored
from engine.parallel.processor.times import ProcessorTimes

OTHER = ModelConfig(
    **{"vocab_size": 5000, "encoder_layers": 3, "decoder_layers": 5, "encoder_heads": 4},
    **{"decoder_heads": 4, "d_model": 512, "encoder_ffn": 1024, "decoder_ffn": 700},
)


@dataclass(frozen=True)
class PlantedCore:
    """A stopwatch of a core whose every figure is known."""

    config: ModelConfig
    stored: Stored
    weight: float = 1e-11
    layer: float = 2e-6
    token: float = 3e-10
    step: float = 7e-6
    own: float = 2e-10
    cross: float = 1e-10
    encoded: float = 6e-12
    scored: float = 9e-12
    began: float = 2e-5

    def step_seconds(self, rows: int, source: int, position: float) -> float:
        config, block = self.config, self.config.decoder_block
        weights = config.decoder_layers * decoder_layer_weights(config) + head_weights(config)
        attended = position * self.own + source * self.cross
        seconds = weights * WEIGHT_BYTES[self.stored] * self.weight * (1 + rows / 8)
        seconds += config.vocab_size * self.token * rows + self.step
        inner = block.heads * block.head_width
        return seconds + config.decoder_layers * (rows * inner * attended + self.layer * rows)

    def encoder_seconds(self, texts: int, source: int) -> float:
        config = self.config
        weights = config.encoder_layers * encoder_layer_weights(config) + cross_weights(config)
        inner = config.encoder_heads * config.encoder_block.head_width
        scored = config.encoder_layers * source * inner * self.scored
        return texts * source * (weights * self.encoded + scored) + self.began


@pytest.fixture(params=["int8", "fp32"])
def stored(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Stored:
    @contextmanager
    def planted(config: ModelConfig, stored: Stored) -> Iterator[PlantedCore]:
        yield PlantedCore(config, stored)

    monkeypatch.setattr(measured, "stopwatch", planted)
    kind: Stored = request.param
    return kind


def test_planted_figures_are_found(stored: Stored) -> None:
    found, planted = measure_core(stored), PlantedCore(OTHER, stored)
    each = WEIGHT_BYTES[stored] * planted.weight
    for rows in ROWS:
        for _, weight in found.weight:
            assert weight.at(rows) == pytest.approx(each * (1 + rows / 8), rel=1e-6)
        for name in ("layer", "token", "own", "cross"):
            wanted = rows * getattr(planted, name)
            assert getattr(found, name).at(rows) == pytest.approx(wanted, rel=1e-3), name
        assert found.step.at(rows) == pytest.approx(planted.step, rel=1e-3)
    for name in ("encoded", "began"):
        assert getattr(found, name) == pytest.approx(getattr(planted, name), rel=1e-6), name


@pytest.mark.parametrize("rows", [1, 8, 64])
def test_the_figures_predict_a_shape_that_was_not_measured(stored: Stored, rows: int) -> None:
    times, planted = ProcessorTimes(OTHER, stored, measure_core(stored)), PlantedCore(OTHER, stored)
    made = times.step_seconds(rows, 40, 25)
    assert made == pytest.approx(planted.step_seconds(rows, 40, 25), rel=1e-3)
    encoded = times.encoder_seconds(8, 32)
    assert encoded == pytest.approx(planted.encoder_seconds(8, 32), rel=0.01)


def test_a_curve_grows_with_the_rows() -> None:
    curve = Curve((1, 64), (1.0, 2.0))
    assert curve.at(22) == pytest.approx(1 + 21 / 63)
    assert curve.at(128) == 4
    assert curve.at(0.5) == 1
