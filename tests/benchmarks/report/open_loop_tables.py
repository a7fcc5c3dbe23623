"""The tables of the open loop."""

import math
from collections.abc import Mapping, Sequence

from tests.benchmarks.open_loop.callers import TIMEOUT
from tests.benchmarks.open_loop.levels import Level
from tests.benchmarks.report.grid import Grid
from tests.benchmarks.speed.spread import Spread


def capacity_grid(checkpoint: str, capacities: Mapping[str, Spread]) -> Grid:
    """What each service can do at most."""
    return Grid(
        f"{checkpoint}: answers a second with 64 callers that wait for theirs",
        ["service", "answers/s"],
        [[name, str(value)] for name, value in capacities.items()],
    )


def level_grid(checkpoint: str, levels: Sequence[Level]) -> Grid:
    """Latencies, processor time and memory by share of our capacity."""
    return Grid(
        f"{checkpoint}: calls that come at random, at shares of our gateway's capacity (ms from "
        f"when a call is due, p50 / p95 / p99; – is none within {TIMEOUT:.0f} s)",
        ["load", "service", "first text", "whole answer", "unanswered", "CPU ms/call", "MB"],
        [
            [
                f"{each.share:.0%}, {each.rate:,.0f}/s",
                each.service,
                _percentiles(each.first),
                _percentiles(each.whole),
                f"{each.unanswered:.1%}",
                "a process ended" if math.isnan(each.cpu) else f"{each.cpu:.1f}",
                f"{each.memory:,.0f}",
            ]
            for each in levels
        ],
    )


def _percentiles(times: Mapping[int, float]) -> str:
    return " / ".join(f"{value:,.0f}" if math.isfinite(value) else "–" for value in times.values())
