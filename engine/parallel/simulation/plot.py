"""Plots how a service does as more texts come."""

import math
from collections.abc import Sequence

from matplotlib.figure import Figure

from engine.parallel.simulation.report import SimulationReport

SIZE = (9.0, 4.0)


def load_plot(title: str, reports: Sequence[SimulationReport]) -> Figure:
    """Latencies, and how busy each part is, by the texts that come a second."""
    figure = Figure(figsize=SIZE, layout="constrained")
    figure.suptitle(title)
    times, parts = figure.subplots(1, 2)
    rates = [report.offered for report in reports]
    for name, values in (
        ("first token, p50", [report.first_p50 for report in reports]),
        ("first token, p95", [report.first_p95 for report in reports]),
        ("whole answer, p50", [report.whole_p50 for report in reports]),
        ("whole answer, p95", [report.whole_p95 for report in reports]),
    ):
        times.plot(rates, [1000 * value for value in values], "o-", label=name)
    times.set(xlabel="texts a second", ylabel="ms")
    if any(math.isfinite(report.whole_p95) for report in reports):
        times.set_yscale("log")
    for stage in reports[-1].stages:
        busy = [_busy(report, stage.name) for report in reports]
        parts.plot(rates, [100 * one for one in busy], "o-", label=stage.name)
    parts.axhline(100, linestyle=":", color="grey")
    parts.set(xlabel="texts a second", ylabel="% busy")
    for axes in (times, parts):
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small")
    return figure


def _busy(report: SimulationReport, name: str) -> float:
    return next(stage.busy for stage in report.stages if stage.name == name)
