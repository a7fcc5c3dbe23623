"""Medians with their spread, and percentiles."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of rounds, and the least and the most of them.

    It is written with half the distance between these, in percent of the median.
    """

    median: float
    lowest: float
    highest: float

    def __str__(self) -> str:
        deviation = (self.highest - self.lowest) / 2 / self.median if self.median else 0.0
        places = 0 if self.median >= 20 else 1
        return f"{self.median:,.{places}f}" + (f" ±{100 * deviation:.0f}" if deviation else "")


def spread(values: Sequence[float]) -> Spread:
    """Of at least one value."""
    return Spread(statistics.median(values), min(values), max(values))


def percentile(values: Sequence[float], percent: float) -> float:
    """The nearest rank: the least value that so many percent of all do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]
