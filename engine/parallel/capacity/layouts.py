"""All layouts that a number of devices can have, each with what it would do."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from engine.export.precision.recipes import Precision
from engine.model.config import ModelConfig
from engine.parallel.capacity.accelerators import GIGA, Accelerator
from engine.parallel.capacity.errors import CapacityError
from engine.parallel.capacity.lengths import LengthDistribution
from engine.parallel.capacity.load import SteadyGroup
from engine.parallel.capacity.memory import MemoryNeed, memory_need
from engine.parallel.capacity.roofline import PassTimes, RooflineTimes
from engine.parallel.division import DividedSizes
from engine.parallel.layout import MOST_RANKS, Layout
from engine.runtime.batching.scheduler import MOST_ROWS


@dataclass(frozen=True)
class LayoutForecast:
    """What a layout would do; times in seconds, texts of the mean lengths.

    `latency` is of a text alone, `loaded_latency` of one beside as many as were asked for, inf
    where they are too many. `need` is the memory of each rank, None where it was not computed.
    """

    layout: Layout
    rows: int
    need: MemoryNeed | None
    texts_per_second: float
    tokens_per_second: float
    latency: float
    loaded_latency: float


@dataclass(frozen=True)
class CapacityGoal:
    """What is planned for: texts a second (0: as many as there can be), and how long they are."""

    config: ModelConfig
    precision: Precision
    lengths: LengthDistribution
    rate: float = 0.0


def divisions(config: ModelConfig, count: int) -> Iterator[Layout]:
    """The groups that so many devices can make, each as often as it can.

    Raises:
        CapacityError: a variant can't have so many ranks.

    """
    if not 1 <= count <= MOST_RANKS:
        raise CapacityError(
            f"--count {count} has to be from 1 to {MOST_RANKS}, the ranks that a variant has at "
            "most: plan for one machine, and `seqway-models simulate` many."
        )
    for tensor in range(1, count + 1):
        if DividedSizes.of(config).problem(tensor):
            continue
        for sequence in range(1, count // tensor + 1):
            yield Layout(tensor, sequence, count // (tensor * sequence))


def forecasts(goal: CapacityGoal, device: Accelerator, count: int) -> list[LayoutForecast]:
    """Of all layouts that fit, the one of the most texts a second first.

    Raises:
        CapacityError: the model fits in none.

    """
    found: list[LayoutForecast] = []
    for layout in divisions(goal.config, count):
        rows = most_rows(goal, device, layout)
        if rows:
            times = RooflineTimes(goal.config, goal.precision, device, layout)
            need = memory_need(goal.config, goal.precision, rows, layout)
            found.append(forecast(goal, layout, times, rows, need))
    if not found:
        raise CapacityError(_no_room(goal, device, count))
    return sorted(found, key=lambda one: (-one.texts_per_second, one.layout.group))


def most_rows(goal: CapacityGoal, device: Accelerator, layout: Layout) -> int:
    """The rows that a rank's memory has room for, a power of two; 0 where it has none for one."""
    rows = MOST_ROWS
    while rows and memory_need(goal.config, goal.precision, rows, layout).total > device.memory:
        rows //= 2
    return rows


def forecast(
    goal: CapacityGoal, layout: Layout, times: PassTimes, rows: int, need: MemoryNeed | None
) -> LayoutForecast:
    """Of groups that have room for so many rows and take such times."""
    load = SteadyGroup(times, rows, goal.lengths)
    texts = layout.data * load.texts_per_second
    return LayoutForecast(
        layout,
        rows,
        need,
        texts,
        texts * goal.lengths.target,
        load.latency(),
        load.latency(goal.rate / layout.data),
    )


def _no_room(goal: CapacityGoal, device: Accelerator, count: int) -> str:
    """What is missing, and the least tp that would do, also of more devices than there are."""
    need = memory_need(goal.config, goal.precision, 1, Layout()).total
    devices = "one" if count == 1 else str(count)
    said = (
        f"the model does not fit on {devices} {device.name.upper()} in {goal.precision}: "
        f"{need / GIGA:.0f} GB of {device.memory / GIGA:.0f} GB"
    )
    for tensor in range(2, MOST_RANKS + 1):
        layout = Layout(tensor)
        is_possible = not DividedSizes.of(goal.config).problem(tensor)
        if is_possible and most_rows(goal, device, layout):
            return f"{said}; tp={tensor} would."
    if most_rows(replace(goal, precision="bf16"), device, Layout()):
        return f"{said}; bf16 would."
    return f"{said}, and no split would."
