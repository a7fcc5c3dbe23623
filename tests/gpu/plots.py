"""Plots of what the check found."""

from collections.abc import Iterable, Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator, ScalarFormatter

SIZE = (7.0, 4.0)


def step_plot(shape: str, steps: Mapping[int, Mapping[str, Any]]) -> Figure:
    """The time of a step by rows, what of it is the device's, and its floor; both axes log."""
    figure, axes = _empty(f"{shape}: a decoder step", steps)
    for field, name, style in (
        ("step_us", "whole step", "o-"),
        ("device_us", "on the device", "o--"),
        ("floor_us", "floor", ":"),
    ):
        axes.plot(list(steps), [one[field] for one in steps.values()], style, label=name)
    targets = {rows: one["target_us"] for rows, one in steps.items() if "target_us" in one}
    if targets:
        low, high = zip(*targets.values(), strict=True)
        axes.fill_between(list(targets), low, high, alpha=0.2, label="target")
    axes.set(xlabel="rows", ylabel="us")
    axes.legend(fontsize="small")
    return figure


def speed_plot(systems: Mapping[str, Mapping[int, float]]) -> Figure:
    """A line of tokens a second for each system; both axes log."""
    counts = {count for speeds in systems.values() for count in speeds}
    figure, axes = _empty("Tokens a second", counts)
    for name, speeds in systems.items():
        axes.plot(list(speeds), list(speeds.values()), "o-", label=name)
    axes.set(xlabel="texts, in flight or in a batch", ylabel="tokens a second")
    axes.legend(fontsize="small")
    return figure


def _empty(title: str, counts: Iterable[int]) -> tuple[Figure, Axes]:
    figure = Figure(figsize=SIZE, layout="constrained")
    axes = figure.subplots()
    axes.set_title(title)
    axes.grid(alpha=0.3)
    axes.set(xscale="log", yscale="log")
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(sorted(counts))
    return figure, axes
