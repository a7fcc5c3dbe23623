"""Which layouts are possible, what they would do, and which is best."""

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest

from engine.model.config import ModelConfig
from engine.parallel.capacity.accelerators import ACCELERATORS, ASSUMED, accelerator_named
from engine.parallel.capacity.choice import ROOM, best
from engine.parallel.capacity.errors import CapacityError
from engine.parallel.capacity.layouts import CapacityGoal, divisions, forecasts
from engine.parallel.capacity.lengths import LengthDistribution
from engine.parallel.capacity.load import SteadyGroup
from engine.parallel.capacity.passes import Exchange
from engine.parallel.capacity.roofline import RooflineTimes, exchange_seconds
from engine.parallel.layout import Layout
from tests.gpu.shapes import MARIAN_BASE

BASE = ModelConfig(vocab_size=32_001)
HUGE = ModelConfig(
    **{"vocab_size": 32_128, "encoder_layers": 24, "decoder_layers": 24, "encoder_heads": 128},
    **{"decoder_heads": 128, "d_model": 1024, "head_width": 128, "encoder_ffn": 65_536},
    **{"decoder_ffn": 65_536, "norm": "pre", "positions": "relative"},
)
"""T5-11B."""
H100 = ACCELERATORS["h100"]
MEANS = LengthDistribution.around(32, 32)
GOAL = CapacityGoal(BASE, "bf16", MEANS)


@dataclass(frozen=True)
class Steady:
    """Times of a group whose steps and encoder take the same whatever they work on."""

    step: float
    encoder: float

    def encoder_seconds(self, texts: float, source: float) -> float:
        return texts * self.encoder

    def step_seconds(self, rows: float, source: float, position: float) -> float:
        return self.step


def test_every_layout_divides_the_heads_and_uses_the_devices() -> None:
    found = {str(one) for one in divisions(replace(BASE, decoder_heads=4), 8)}
    assert "tp=4,sp=2,dp=1" in found and "tp=1,sp=3,dp=2" in found
    assert not any(one.startswith(("tp=8", "tp=3")) for one in found)
    assert all(one.group * one.data <= 8 for one in divisions(BASE, 8))


def test_a_model_that_does_not_fit_is_refused_in_one_sentence() -> None:
    goal = CapacityGoal(HUGE, "fp32", MEANS)
    with pytest.raises(CapacityError, match=r"not fit on one L4 in fp32: \d+ GB of 24 GB; tp=\d+"):
        forecasts(goal, ACCELERATORS["l4"], 1)


def test_what_does_not_fit_alone_fits_in_parts() -> None:
    found = forecasts(CapacityGoal(HUGE, "fp32", MEANS), ACCELERATORS["l40s"], 8)
    assert found and all(one.layout.tensor > 1 for one in found)
    assert all(one.need is not None and one.need.total <= 48e9 for one in found)


@pytest.mark.parametrize("name", ACCELERATORS)
def test_more_devices_answer_more(name: str) -> None:
    device = accelerator_named(name)
    rates = [forecasts(GOAL, device, count)[0].texts_per_second for count in (1, 2, 4, 8)]
    assert rates == sorted(rates)
    assert rates[-1] == pytest.approx(8 * rates[0])  # a small model: groups side by side


def test_a_step_on_an_h100_takes_what_the_check_has_as_target() -> None:
    """docs/gpu: targets in us a step of Marian base by rows, 32 tokens in and out."""
    config = replace(BASE, vocab_size=MARIAN_BASE.vocabulary)
    times = RooflineTimes(config, "fp16", H100, Layout())
    for rows, (low, high) in {
        1: (130, 200),
        32: (180, 260),
        256: (350, 450),
        1024: (1000, 1300),
    }.items():
        assert 0.8 * low <= 1e6 * times.step_seconds(rows, 32, 16) <= 1.25 * high, rows


def test_a_step_never_beats_the_data_sheet() -> None:
    ideal = replace(ASSUMED, memory=1.0, products=1.0, kernel=0.0, step=0.0)
    for rows in (1, 64, 1024):
        least = RooflineTimes(BASE, "bf16", H100, Layout(), ideal).step_seconds(rows, 32, 16)
        assert least < RooflineTimes(BASE, "bf16", H100, Layout()).step_seconds(rows, 32, 16)


@pytest.mark.parametrize("layout", [Layout(), Layout(2), Layout(1, 4), Layout(2, 2)])
def test_more_work_takes_longer(layout: Layout) -> None:
    times = RooflineTimes(BASE, "bf16", H100, layout)
    by_rows = [times.step_seconds(rows, 100, 50) for rows in (1, 8, 64, 512)]
    by_source = [times.step_seconds(64, source, 50) for source in (16, 128, 512)]
    by_length = [times.encoder_seconds(8, source) for source in (16, 128, 512)]
    for values in (by_rows, by_source, by_length):
        assert values == sorted(values) and values[0] < values[-1]


def test_collectives_take_their_latency_and_the_bytes_of_a_ring() -> None:
    reduced = exchange_seconds(Exchange("all-reduce", 4, 10, 4.5e9), H100.link, 2)
    gathered = exchange_seconds(Exchange("all-gather", 4, 10, 4.5e9), H100.link, 2)
    latency = 10 * (H100.link.latency + 2 * H100.link.hop)
    assert reduced - latency == pytest.approx(2 * 3 / 4 * 9e9 / 450e9)
    assert gathered - latency == pytest.approx(3 / 4 * 9e9 / 450e9)


def test_sequence_parallel_pays_for_long_sources_only() -> None:
    config = replace(HUGE, encoder_heads=16, decoder_heads=16, head_width=64, encoder_ffn=4096)
    config = replace(config, decoder_ffn=4096)

    def gain(source: int) -> float:
        alone = RooflineTimes(config, "bf16", H100, Layout()).encoder_seconds(1, source)
        return alone / RooflineTimes(config, "bf16", H100, Layout(1, 4)).encoder_seconds(1, source)

    assert gain(256) < 1 < 2.5 < gain(16_384) <= 4


def test_capacity_and_running_rows_follow_littles_law() -> None:
    lengths = LengthDistribution(np.array([10.0]), np.array([100.0]))
    load = SteadyGroup(Steady(1e-3, 0.0), 64, lengths)
    assert load.texts_per_second == pytest.approx(64 / 0.1)
    assert load.running(320) == pytest.approx(32)
    assert load.latency() == pytest.approx(0.1)
    assert math.isinf(load.running(641))


def test_encoding_takes_its_share_of_the_time() -> None:
    lengths = LengthDistribution(np.array([10.0]), np.array([100.0]))
    load = SteadyGroup(Steady(1e-3, 1e-3), 64, lengths)
    assert load.texts_per_second == pytest.approx(64 / (0.1 + 0.064))
    assert load.running(320) == pytest.approx(32 / (1 - 0.32))
    assert math.isinf(load.running(1000))


def test_without_a_rate_the_most_texts_are_best() -> None:
    found = forecasts(GOAL, H100, 8)
    choice = best(found, 0)
    assert choice.forecast.layout == Layout(data=8)
    assert "most of all layouts" in choice.reason


def test_of_layouts_that_carry_a_rate_the_quickest_is_best() -> None:
    goal = replace(GOAL, rate=1000.0)
    found = forecasts(goal, H100, 8)
    chosen = best(found, goal.rate).forecast
    assert goal.rate <= ROOM * chosen.texts_per_second
    enough = [one for one in found if goal.rate <= ROOM * one.texts_per_second]
    assert chosen.loaded_latency <= 1.1 * min(one.loaded_latency for one in enough)


def test_a_rate_that_none_carries_says_how_many_devices_would() -> None:
    found = forecasts(replace(GOAL, rate=1e6), H100, 2)
    most = found[0].texts_per_second
    reason = best(found, 1e6).reason
    assert f"{math.ceil(1e6 / most / ROOM)} times as many devices" in reason


def test_unknown_devices_and_too_many_are_refused() -> None:
    with pytest.raises(CapacityError, match="h100, h200, a100"):
        accelerator_named("b300")
    with pytest.raises(CapacityError, match="from 1 to 64"):
        list(divisions(BASE, 65))
