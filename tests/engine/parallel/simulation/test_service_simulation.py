"""The simulated service beside what queueing theory says of it."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from engine.parallel.capacity.lengths import LengthDistribution
from engine.parallel.simulation.arrivals import RecordedArrivals
from engine.parallel.simulation.costs import ServiceCosts
from engine.parallel.simulation.distribution import SecondsDistribution
from engine.parallel.simulation.fleet import GroupTimes
from engine.parallel.simulation.report import SimulationReport
from engine.parallel.simulation.router import spread
from engine.parallel.simulation.service import OfferedLoad, SimulatedService, simulate
from engine.parallel.simulation.stage import Stage

FREE = ServiceCosts(gateway=0.0, front=0.0)
EQUAL = LengthDistribution(np.array([20.0]), np.array([40.0]))
STEP, ENCODER, ROWS = 2e-3, 1e-3, 16
TIMES = GroupTimes(np.full(ROWS + 1, STEP), ENCODER)
ONE = SimulatedService(TIMES, EQUAL, pods=1, groups=1, gateways=1, costs=FREE)
MOST = ROWS / (40 * STEP + ROWS * ENCODER)
"""Texts a second of one group."""


def run(service: SimulatedService, rate: float, **fields: float) -> SimulationReport:
    return simulate(service, OfferedLoad(rate, **{"seconds": 8.0, **fields}))  # type: ignore[arg-type]


@dataclass(frozen=True)
class Case:
    service: SimulatedService
    most: float


CASES = [Case(ONE, MOST), Case(replace(ONE, pods=5, groups=4), 20 * MOST)]


@pytest.mark.parametrize("case", CASES)
def test_what_comes_is_answered_up_to_what_the_groups_can(case: Case) -> None:
    assert case.service.group_rate == pytest.approx(case.most)
    report = run(case.service, 0.6 * case.most)
    assert report.answered == pytest.approx(0.6 * case.most, rel=0.1)
    assert report.tokens == pytest.approx(40 * report.answered, rel=0.01)
    report = run(case.service, 1.5 * case.most)
    assert report.answered == pytest.approx(case.most, rel=0.06)
    assert report.stages[0].waiting > 2 * case.most  # what was too much
    assert report.stages[0].busy > 0.9


def test_a_text_that_meets_nobody_takes_its_own_time() -> None:
    report = run(ONE, 2.0, seconds=30.0)
    alone = ENCODER + 40 * STEP
    assert report.whole_p50 == pytest.approx(alone, rel=0.04)
    assert report.first_p50 == pytest.approx(ENCODER + STEP, rel=0.02)


def test_latency_grows_with_the_load() -> None:
    found = [run(ONE, share * MOST).whole_p95 for share in (0.1, 0.5, 0.8, 0.95)]
    assert found == sorted(found) and found[-1] > 1.5 * found[0]


def test_the_rows_that_run_follow_littles_law() -> None:
    report = run(replace(ONE, groups=4), 2 * MOST, seconds=10.0)
    busy = 1 - 2 * MOST / 4 * ENCODER
    assert report.whole_mean == pytest.approx(ENCODER + 40 * STEP / busy, rel=0.1)


def test_the_same_seed_gives_the_same_report() -> None:
    assert run(ONE, MOST / 2) == run(ONE, MOST / 2)
    assert run(ONE, MOST / 2) != run(ONE, MOST / 2, seed=1)


def test_recorded_texts_are_all_answered_and_none_twice() -> None:
    moments = tuple(float(moment) for moment in np.linspace(0, 3, 200))
    report = simulate(ONE, OfferedLoad(0.0, 60.0, moments=moments))
    assert report.answered * report.seconds == pytest.approx(200)
    assert report.tokens * report.seconds == pytest.approx(200 * 40)
    assert report.seconds == pytest.approx(3.1, abs=0.2)


def test_a_burst_is_answered_at_the_groups_rate_and_waits_for_it() -> None:
    report = simulate(replace(ONE, groups=2), OfferedLoad(0.0, 60.0, moments=(0.0,) * 400))
    assert report.answered == pytest.approx(2 * MOST, rel=0.08)
    assert report.whole_p50 == pytest.approx(report.seconds / 2, rel=0.1)
    assert report.whole_p95 == pytest.approx(report.seconds * 0.95, rel=0.08)


def test_interactive_texts_pass_those_of_jobs() -> None:
    mixed = run(ONE, 1.5 * MOST, batch=0.5)
    assert mixed.answered - mixed.lines == pytest.approx(0.75 * MOST, rel=0.08)
    assert mixed.lines <= 4 * MOST / ROWS * 1.2  # four rows at most
    assert mixed.whole_p95 < 0.3
    alone = run(ONE, 1.5 * MOST, batch=1.0)
    assert alone.lines == pytest.approx(MOST, rel=0.05)


def test_gateways_and_fronts_hold_texts_back() -> None:
    costs = ServiceCosts(gateway=0.01, front=0.0)
    slow = replace(ONE, groups=4, gateways=2, costs=costs)
    report = run(slow, 300.0)
    assert report.narrowest.name == "2 gateways"
    assert report.narrowest.texts_per_second == pytest.approx(200)
    assert report.answered == pytest.approx(200, rel=0.02)
    assert report.narrowest.busy == pytest.approx(1, abs=0.02)
    fronts = run(replace(ONE, groups=4, costs=ServiceCosts(gateway=0.0, front=0.02)), 300.0)
    assert fronts.answered == pytest.approx(50, rel=0.05)


def test_a_stage_waits_as_a_queue_with_one_server_does() -> None:
    """M/D/1: the mean wait is u / (2 (1 - u)) services (Pollaczek-Khinchine)."""
    chance, stage, seconds, tick = np.random.default_rng(3), Stage(1, 0.01), 0.01, 0.005
    none = np.zeros(1, np.int64)
    total, delays = 0, 0.0
    for _ in range(8_000):
        served, delay = stage.serve(chance.poisson(0.8 * tick / seconds, 1), none, tick)
        total += int(served[0])
        delays += int(served[0]) * delay
    expected = seconds * (1 + 0.8 / (2 * 0.2))
    assert delays / total == pytest.approx(expected, rel=0.2)
    assert stage.busy == pytest.approx(0.8 * 8_000 * tick, rel=0.03)


def test_redis_and_the_store_are_as_busy_as_their_lines_make_them() -> None:
    costs = ServiceCosts()
    assert costs.redis_share(2e5) == pytest.approx(2e5 / 2048 * 16 / 1e5 + 0.4)
    assert costs.store_share(2e5) == pytest.approx(2e5 / 2048 * 5 / 5500)
    report = run(ONE, MOST / 2, batch=0.4)
    names = [stage.name for stage in report.stages]
    assert names == ["1 groups of devices", "Redis", "the store"]


def test_texts_go_where_most_budget_is_free() -> None:
    load = np.array([[5.0, 0.0, 2.0], [1.0, 1.0, 1.0]])
    given = spread(np.array([4, 7]), load)
    assert given[0].tolist() == [0, 3, 1]
    assert sorted(given[1].tolist()) == [2, 2, 3]
    assert spread(np.array([1]), np.array([[9.0, 3.0, 4.0]])).tolist() == [[0, 1, 0]]


def test_what_is_spread_is_neither_lost_nor_doubled() -> None:
    chance = np.random.default_rng(0)
    for _ in range(50):
        arrived, load = chance.integers(0, 40, 6), chance.integers(0, 30, (6, 5)).astype(float)
        given = spread(arrived, load)
        assert (given >= 0).all() and (given.sum(axis=1) == arrived).all()
        filled = np.where(given > 0, load + given, 0).max(axis=1)
        assert (filled <= (load + given).min(axis=1) + 1)[arrived > 0].all()


def test_percentiles_are_within_a_bin() -> None:
    chance, found = np.random.default_rng(1), SecondsDistribution()
    values = chance.exponential(0.2, 8_000)
    found.add(values, np.ones(values.size))
    for percent in (50, 95, 99):
        assert found.percentile(percent) == pytest.approx(np.percentile(values, percent), rel=0.02)
    assert found.mean() == pytest.approx(values.mean(), rel=0.01)


def test_recorded_moments_fall_into_their_ticks() -> None:
    counts = RecordedArrivals(np.array([0.0, 0.05, 0.11, 9.0])).counts(3, 0.1)
    assert counts.tolist() == [2, 1, 0]
