"""`seqway-models plan`: which layout of devices suits a model, a rate and lengths."""

import dataclasses
import json
import math
from dataclasses import dataclass
from typing import Annotated, Any, get_args

import typer
from rich.table import Table

from engine.commands.terminal import EXPECTED, console, failure
from engine.export.precision.recipes import Precision
from engine.parallel.capacity.accelerators import (
    ACCELERATORS,
    GIGA,
    PROCESSOR,
    Accelerator,
    accelerator_named,
)
from engine.parallel.capacity.choice import Choice, best
from engine.parallel.capacity.dimensions import read_dimensions
from engine.parallel.capacity.errors import CapacityError
from engine.parallel.capacity.layouts import CapacityGoal, LayoutForecast, forecast, forecasts
from engine.parallel.capacity.lengths import read_lengths
from engine.parallel.capacity.numerals import digits
from engine.parallel.capacity.roofline import PassTimes, RooflineTimes
from engine.parallel.layout import Layout
from engine.parallel.processor.contention import measure_contention
from engine.parallel.processor.probe import measure_core
from engine.parallel.processor.reference import Stored
from engine.parallel.processor.times import ProcessorTimes
from engine.runtime.batching.scheduler import Limits
from engine.runtime.sessions.placement import usable_cores

MOST_SHOWN = 12
"""Layouts in the table; `--json` has all."""

CheckpointName = Annotated[
    str,
    typer.Argument(metavar="CHECKPOINT", help="A checkpoint's or variant's folder, or a hub id."),
]
Gpu = Annotated[
    str,
    typer.Option(
        help=f"Of {', '.join(ACCELERATORS)}; or {PROCESSOR}: this machine's, which is measured."
    ),
]
Rate = Annotated[
    float, typer.Option(min=0, help="Texts a second that come; 0: as many as there can be.")
]
Lengths = Annotated[
    str,
    typer.Option(
        help="Mean tokens of sources and answers, such as 200:60, or a file: JSON Lines of pairs, "
        "or one text a line."
    ),
]
PrecisionName = Annotated[
    str,
    typer.Option(
        "--precision",
        help=f"Of {', '.join(get_args(Precision))} (default: bf16, on processors int8).",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print all fields as JSON.")]


def plan_command(
    checkpoint: CheckpointName,
    gpu: Gpu = "h100",
    count: Annotated[int, typer.Option(help="Devices; of processors, cores.")] = 1,
    rate: Rate = 0.0,
    lengths: Lengths = "200:60",
    precision: PrecisionName = "",
    as_json: AsJson = False,
) -> None:
    """Say which layout of devices suits a model, how fast it would be, and what memory it takes."""
    try:
        goal = read_goal(checkpoint, gpu, rate, lengths, precision)
        found = _forecasts(goal, gpu, count)
    except EXPECTED as error:
        raise failure(error) from error
    choice = best(found, rate)
    if as_json:
        console.print_json(json.dumps(_fields(found, choice)))
        return
    console.print(_table(found, choice, gpu, goal))
    console.print(f"{choice.forecast.layout} is best: {choice.reason}", soft_wrap=True)
    console.print(_basis(gpu), soft_wrap=True)


def read_goal(checkpoint: str, gpu: str, rate: float, lengths: str, precision: str) -> CapacityGoal:
    """What the options ask for.

    Raises:
        CapacityError: an option makes no sense, or the model generates no text.
        CheckpointError: the checkpoint can't be read.
        TextFileError: the file of lengths can't be.

    """
    known: tuple[Precision, ...] = get_args(Precision)
    name = precision or ("int8" if gpu == PROCESSOR else "bf16")
    chosen = next((one for one in known if one == name), None)
    if chosen is None:
        raise CapacityError(f"unknown precision {name!r}; choose from {', '.join(known)}.")
    if gpu != PROCESSOR:
        accelerator_named(gpu)
    distribution = read_lengths(lengths)
    config = read_dimensions(checkpoint)
    return CapacityGoal(config, chosen, distribution.limited(config.max_positions), rate)


@dataclass(frozen=True)
class Hardware:
    """What runs the groups: a GPU, or with None a processor whose cores take these times."""

    device: Accelerator | None
    processor: ProcessorTimes | None = None

    def times(self, goal: CapacityGoal, layout: Layout) -> PassTimes:
        """Of one of its groups."""
        if self.device is None:
            assert self.processor is not None
            return self.processor
        return RooflineTimes(goal.config, goal.precision, self.device, layout)


def hardware_of(gpu: str, goal: CapacityGoal, cores: int) -> Hardware:
    """The GPU of that name, or this processor, measured while so many of its cores work.

    Raises:
        CapacityError: there are not so many cores, or weights of that precision are not measured.
        NativeMissingError: the native library was not built.

    """
    if gpu != PROCESSOR:
        return Hardware(accelerator_named(gpu))
    if not 1 <= cores <= usable_cores():
        raise CapacityError(f"--count {cores}: this machine has {usable_cores()} cores to measure.")
    stored = _stored(goal.precision)
    with console.status("measuring this processor, for a minute"):
        figures = measure_core(stored)
        contention = measure_contention(stored, cores)
    return Hardware(None, ProcessorTimes(goal.config, stored, figures, contention))


def _stored(precision: Precision) -> Stored:
    kinds: tuple[Stored, ...] = get_args(Stored)
    found = next((one for one in kinds if one == precision), None)
    if found is None:
        raise CapacityError(f"--precision {precision}: on processors {' and '.join(kinds)} are.")
    return found


def _forecasts(goal: CapacityGoal, gpu: str, count: int) -> list[LayoutForecast]:
    """Of all layouts; on a processor groups are single cores, for which no split pays."""
    hardware = hardware_of(gpu, goal, count)
    if hardware.device is not None:
        return forecasts(goal, hardware.device, count)
    assert hardware.processor is not None
    alone = dataclasses.replace(hardware.processor, contention=1.0)
    layouts = {Layout(): alone, Layout(data=count): hardware.processor}
    return [
        forecast(goal, layout, times, Limits.max_rows, None) for layout, times in layouts.items()
    ][::-1]


def _table(found: list[LayoutForecast], choice: Choice, gpu: str, goal: CapacityGoal) -> Table:
    columns = ["layout", "rows", "texts/s", "tokens/s", "a text alone, ms"]
    columns += ["at the rate, ms"] * bool(goal.rate) + ["GB each"]
    table = Table(*columns, title_justify="left", title=f"{gpu}, {goal.precision}, {_means(goal)}")
    table.columns[0].no_wrap = True
    table.columns[0].min_width = max(len(str(one.layout)) for one in found)
    shown = found[:MOST_SHOWN]
    if choice.forecast not in shown:
        shown[-1] = choice.forecast
    for one in shown:
        cells = [
            *(str(one.layout), str(one.rows), digits(one.texts_per_second)),
            *(digits(one.tokens_per_second), _milliseconds(one.latency)),
        ]
        cells += [_milliseconds(one.loaded_latency)] * bool(goal.rate)
        cells.append("" if one.need is None else f"{one.need.total / GIGA:.1f}")
        table.add_row(*cells, style="bold" if one is choice.forecast else "")
    if len(found) > len(shown):
        table.caption = f"{len(found) - len(shown)} layouts that do less are left out"
    return table


def _means(goal: CapacityGoal) -> str:
    return f"{goal.lengths.source:.0f} tokens in, {goal.lengths.target:.0f} out"


def _milliseconds(seconds: float) -> str:
    return "too many" if math.isinf(seconds) else digits(1000 * seconds)


def _basis(gpu: str) -> str:
    if gpu == PROCESSOR:
        return "Measured on this processor just now."
    return (
        "From data sheets, and assumptions of what is reached of them: nothing was measured on a "
        "GPU."
    )


def _fields(found: list[LayoutForecast], choice: Choice) -> dict[str, Any]:
    layouts = [
        {
            **dataclasses.asdict(one),
            "layout": str(one.layout),
            "loaded_latency": one.loaded_latency if math.isfinite(one.loaded_latency) else None,
        }
        for one in found
    ]
    return {"best": str(choice.forecast.layout), "reason": choice.reason, "layouts": layouts}
