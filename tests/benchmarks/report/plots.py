"""Plots of what was measured."""

import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator, ScalarFormatter

from tests.benchmarks.open_loop.levels import Level
from tests.benchmarks.roofline.roof import StepRoof
from tests.benchmarks.speed.spread import Spread

SIZE = (7.0, 4.0)
PERCENT = 95


def spread_plot(
    title: str, x_label: str, y_label: str, lines: Mapping[str, Mapping[int, Spread]]
) -> Figure:
    """A line of medians for each system, with bars from the least to the most; both axes log."""
    figure, axes = _empty(title)
    for name, points in lines.items():
        medians = [each.median for each in points.values()]
        below = [each.median - each.lowest for each in points.values()]
        above = [each.highest - each.median for each in points.values()]
        axes.errorbar(list(points), medians, (below, above), label=name, marker="o", capsize=3)
    axes.set(xlabel=x_label, ylabel=y_label, xscale="log", yscale="log")
    _tick(axes, sorted({x for points in lines.values() for x in points}))
    axes.legend(fontsize="small")
    return figure


def latency_plot(checkpoint: str, levels: Sequence[Level]) -> Figure:
    """The p95 of the whole answer by load; a service that leaves more unanswered has no point."""
    figure, axes = _empty(f"{checkpoint}: calls that come at random")
    for name in dict.fromkeys(level.service for level in levels):
        own = [level for level in levels if level.service == name]
        reached = [level for level in own if math.isfinite(level.whole[PERCENT])]
        axes.plot(
            [level.rate for level in reached],
            [level.whole[PERCENT] for level in reached],
            label=name,
            marker="o",
        )
    axes.set(xlabel="calls a second", ylabel=f"p{PERCENT} of the whole answer, ms", yscale="log")
    axes.legend(fontsize="small")
    return figure


def roof_plot(checkpoint: str, roofs: Sequence[StepRoof]) -> Figure:
    """The time of a step, and the two bounds of it."""
    figure, axes = _empty(f"{checkpoint}: a decoder step of one lane")
    rows = [roof.rows for roof in roofs]
    axes.plot(rows, [1000 * roof.seconds for roof in roofs], label="measured", marker="o")
    axes.plot(rows, [1000 * roof.compute_seconds for roof in roofs], "--", label="INT8 products")
    axes.plot(rows, [1000 * roof.read_seconds for roof in roofs], ":", label="reading weights")
    axes.set(xlabel="rows", ylabel="ms", xscale="log", yscale="log")
    _tick(axes, rows)
    axes.legend(fontsize="small")
    return figure


def _empty(title: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=SIZE, layout="constrained")
    axes = figure.subplots()
    axes.set_title(title)
    axes.grid(alpha=0.3)
    return figure, axes


def _tick(axes: Axes, values: Sequence[int]) -> None:
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(values)
