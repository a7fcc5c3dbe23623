"""`seqway-models simulate`: how the whole service does, and what of it breaks first."""

import dataclasses
import json
import math
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from engine.commands.capacity import (
    AsJson,
    CheckpointName,
    Gpu,
    Lengths,
    PrecisionName,
    Rate,
    hardware_of,
    read_goal,
)
from engine.commands.terminal import EXPECTED, console, failure
from engine.parallel.capacity.accelerators import PROCESSOR
from engine.parallel.capacity.errors import CapacityError
from engine.parallel.capacity.layouts import CapacityGoal, most_rows
from engine.parallel.capacity.load import SteadyGroup
from engine.parallel.capacity.numerals import digits
from engine.parallel.division import DividedSizes
from engine.parallel.layout import Layout
from engine.parallel.simulation.arrivals import read_moments
from engine.parallel.simulation.fleet import GroupTimes
from engine.parallel.simulation.plot import load_plot
from engine.parallel.simulation.report import SimulationReport
from engine.parallel.simulation.service import OfferedLoad, SimulatedService, simulate
from engine.runtime.batching.scheduler import Limits

MOST_DEVICES = 1024
SHARES = (0.2, 0.4, 0.6, 0.8, 0.95, 1.1)
"""Of what the part that breaks first carries: the loads of a plot."""


def simulate_command(
    checkpoint: CheckpointName,
    rate: Rate = 0.0,
    gpu: Gpu = "h100",
    layout: Annotated[
        str, typer.Option(help="Of each pod, such as tp=1,sp=1,dp=8.")
    ] = "tp=1,sp=1,dp=1",
    pods: Annotated[int, typer.Option(min=1, help="With so many devices each.")] = 1,
    gateways: Annotated[int, typer.Option(min=1, help="Processes.")] = 2,
    lengths: Lengths = "200:60",
    precision: PrecisionName = "",
    batch_share: Annotated[
        float, typer.Option(min=0, max=1, help="Of the texts, that comes from batch jobs.")
    ] = 0.0,
    seconds: Annotated[float, typer.Option(min=1, max=3600, help="Simulated time.")] = 60.0,
    arrivals: Annotated[
        Path | None, typer.Option(help="A JSON list of seconds, instead of arrivals at random.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Draw how it does under other loads, as .svg or .png.")
    ] = None,
    seed: int = 0,
    as_json: AsJson = False,
) -> None:
    """Simulate the whole service under a load: latencies, and what of it breaks first."""
    try:
        goal = read_goal(checkpoint, gpu, rate, lengths, precision)
        service = _service(goal, gpu, _layout(layout, pods), pods, gateways)
        moments = tuple(read_moments(arrivals).tolist()) if arrivals else ()
        if not moments and not rate:
            raise CapacityError("--rate has to be more than 0 where --arrivals is not given.")
        load = OfferedLoad(rate, seconds, batch_share, moments, seed)
        with console.status("simulating"):
            report = simulate(service, load)
            others = _others(service, load, report) if plot else []
    except EXPECTED as error:
        raise failure(error) from error
    if as_json:
        console.print_json(json.dumps(_finite(dataclasses.asdict(report))))
    else:
        _show(report)
    if plot:
        try:
            load_plot(f"{checkpoint}, {pods} pods of {layout}", others).savefig(plot)
        except (OSError, ValueError) as error:
            raise failure(f"--plot {plot} can't be written: {error}") from error


def _layout(text: str, pods: int) -> Layout:
    try:
        layout = Layout.parse(text)
    except ValueError as error:
        raise CapacityError(f"--layout: {error}") from error
    if pods * layout.ranks > MOST_DEVICES:
        raise CapacityError(
            f"{pods} pods of {layout.ranks} devices are {pods * layout.ranks}, and at most "
            f"{MOST_DEVICES} are simulated."
        )
    return layout


def _service(
    goal: CapacityGoal, gpu: str, layout: Layout, pods: int, gateways: int
) -> SimulatedService:
    if gpu == PROCESSOR and layout.group > 1:
        raise CapacityError(f"--layout {layout}: on processors a group is one core.")
    if problem := DividedSizes.of(goal.config).problem(layout.tensor):
        raise CapacityError(f"--layout {layout}: {problem}.")
    hardware = hardware_of(gpu, goal, layout.data)
    rows = Limits.max_rows
    if hardware.device is not None:
        rows = most_rows(goal, hardware.device, layout)
    if not rows:
        raise CapacityError(f"the model does not fit on {gpu} with {layout}.")
    load = SteadyGroup(hardware.times(goal, layout), rows, goal.lengths)
    return SimulatedService(GroupTimes.of(load), goal.lengths, pods, layout.data, gateways)


def _others(
    service: SimulatedService, load: OfferedLoad, report: SimulationReport
) -> list[SimulationReport]:
    """The reports of other loads, each as long as the first."""
    most = report.narrowest.texts_per_second
    plain = dataclasses.replace(load, moments=())
    return [simulate(service, dataclasses.replace(plain, rate=share * most)) for share in SHARES]


def _show(report: SimulationReport) -> None:
    console.print(
        f"{digits(report.offered)} texts/s come, {digits(report.answered)} are answered "
        f"({digits(report.tokens)} tokens/s), {digits(report.lines)} of them of batch jobs.",
        soft_wrap=True,
    )
    times = Table("interactive texts", "p50, ms", "p95, ms")
    times.add_row("first token", *_row(report.first_p50, report.first_p95))
    times.add_row("whole answer", *_row(report.whole_p50, report.whole_p95))
    console.print(times)
    table = Table("part", "carries, texts/s", "busy", "waiting at the end")
    for stage in sorted(report.stages, key=lambda stage: stage.texts_per_second):
        most, waiting = digits(stage.texts_per_second), f"{stage.waiting:,}"
        table.add_row(stage.name, most, f"{stage.busy:.0%}", waiting)
    console.print(table)
    first = report.narrowest
    verb = "breaks" if report.offered > first.texts_per_second else "would break"
    console.print(
        f"First {verb}: {first.name}, at {digits(first.texts_per_second)} texts/s.",
        soft_wrap=True,
    )


def _row(*seconds: float) -> list[str]:
    return ["–" if math.isnan(one) else digits(1000 * one) for one in seconds]


def _finite(fields: dict[str, object]) -> dict[str, object]:
    """With null for what JSON does not have."""
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in fields.items()
    }
