"""Overload with calls of unlike lengths: who is let in is answered in time."""

import pytest
from simulation import Kind, Simulation

from services.gateway.admission.forecast import Forecast

SHORT = range(1, 4)
SECONDS = 40.0
MIXES = {
    "short": [Kind(1.0, SHORT, 2.0)],
    "a tenth is long": [Kind(0.9, SHORT, 2.0), Kind(0.1, range(20, 61), 2.0)],
    "a fifth is long": [Kind(0.8, SHORT, 4.0), Kind(0.2, range(20, 101), 4.0)],
    "of all lengths": [
        Kind(0.6, SHORT, 2.0),
        Kind(0.3, range(6, 21), 2.0),
        Kind(0.1, range(30, 101), 2.0),
    ],
    "patient and long": [Kind(0.7, SHORT, 2.0), Kind(0.3, range(10, 81), 3.0)],
}


@pytest.mark.parametrize("slowness", [1.0, 2.0])
@pytest.mark.parametrize("name", MIXES)
def test_of_the_calls_let_in_few_are_late(
    name: str, slowness: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulation = Simulation(slowness, monkeypatch)
    simulation.run(MIXES[name], share=2.0, seconds=SECONDS)
    ends = simulation.ends
    assert ends["refused"] > 0
    assert ends["late"] <= 0.05 * (ends["late"] + ends["answered"]), ends
    goodput = simulation.tokens_answered / SECONDS / simulation.capacity
    assert goodput > 0.8, goodput


def test_hardly_anybody_is_refused_below_capacity(monkeypatch: pytest.MonkeyPatch) -> None:
    simulation = Simulation(1.0, monkeypatch)
    simulation.run(MIXES["a tenth is long"], share=0.6, seconds=SECONDS)
    assert set(simulation.ends) <= {"answered", "refused"}
    assert simulation.ends["refused"] <= 0.01 * simulation.ends["answered"], simulation.ends


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_forecast_knows_lengths_and_what_is_ahead() -> None:
    clock = Clock()
    forecast = Forecast(clock)
    assert forecast.bound(1000, 1000) == 0.0
    for turn in range(600):
        clock.now += 0.05
        own, ahead = (50, 2000) if turn % 2 else (2000, 500 * (turn % 5))
        forecast.note(own, ahead, 0.1 + ahead / 4000 + own / 1000)
    assert forecast.seconds(50, 2000) == pytest.approx(0.65, rel=0.1)
    assert forecast.seconds(2000, 0) == pytest.approx(2.1, rel=0.1)
    assert forecast.seconds(1000, 1000) == pytest.approx(1.35, rel=0.15)


def test_what_took_longer_than_forecast_is_remembered_for_a_while() -> None:
    clock = Clock()
    forecast = Forecast(clock)
    for turn in range(2000):
        clock.now += 0.01
        forecast.note(100, 1000, 1.0 if turn % 10 else 2.0)
    assert forecast.bound(100, 1000) > 1.8
    clock.now += 600
    assert forecast.bound(100, 1000) < 1.3 * forecast.seconds(100, 1000)
