"""All services at shares of our capacity, in turn, round after round."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.progress import Progress

from tests.benchmarks.open_loop.arrivals import poisson
from tests.benchmarks.open_loop.callers import Caller
from tests.benchmarks.open_loop.footprint import footprint
from tests.benchmarks.open_loop.load import UNANSWERED, CallTimes, capacity, open_loop
from tests.benchmarks.speed.spread import Spread, percentile, spread

IN_FLIGHT = 64
PERCENTS = (50, 95, 99)


@dataclass(frozen=True, slots=True)
class Service:
    """A running service: its processes, and what makes a caller of it.

    Of several that have one name, each with a setting of its own, the one of the highest capacity
    is measured on.
    """

    name: str
    setting: str
    pids: tuple[int, ...]
    caller: Callable[[], Caller]


@dataclass(frozen=True, slots=True)
class OpenLoop:
    """How much is offered: shares of our capacity, each for `seconds` or at most so many calls."""

    rounds: int
    shares: tuple[float, ...]
    seconds: float
    most_calls: int
    capacity_calls: int

    def calls(self, rate: float) -> int:
        """Of one round."""
        return max(1, min(self.most_calls, round(rate * self.seconds)))


@dataclass(frozen=True, slots=True)
class Level:
    """One service at one share of our capacity, over all rounds.

    `first` and `whole` are milliseconds to the first text and to the whole answer by percentile,
    infinite where more calls than that were not answered. `unanswered` is a share of all calls,
    `cpu` milliseconds of all its processes a call, not a number where one of them ended meanwhile,
    `memory` megabytes at the end.
    """

    service: str
    share: float
    rate: float
    first: dict[int, float]
    whole: dict[int, float]
    unanswered: float
    cpu: float
    memory: float


def measure_levels(
    services: Sequence[Service], texts: Sequence[str], loop: OpenLoop, console: Console
) -> tuple[dict[str, Spread], list[Level]]:
    """The capacity of each service by name, and its levels; the first service is ours.

    A setting is told with the name of a capacity where there is a choice.
    """
    with Progress(console=console, transient=True) as progress:
        progress.add_task("capacity", total=None)
        found = measure_capacities(services, texts, loop)
        services = fastest_of_each_name(found)
        ours = found[services[0]].median
        times: dict[tuple[str, float], list[CallTimes]] = {}
        spent: dict[tuple[str, float], float] = {}
        memory: dict[tuple[str, float], int] = {}
        total = loop.rounds * len(loop.shares) * len(services)
        task = progress.add_task("open loop", total=total)
        for turn in range(loop.rounds):
            for share in loop.shares:
                for service in services:
                    at = service.name, share
                    moments = poisson(ours * share, loop.calls(ours * share), turn)
                    before = footprint(service.pids)
                    times.setdefault(at, []).extend(asyncio.run(_offer(service, texts, moments)))
                    after = footprint(service.pids)
                    spent[at] = spent.get(at, 0) + after.cpu_since(before)
                    memory[at] = after.memory_bytes
                    progress.advance(task)
    capacities = {f"{each.name} {each.setting}".strip(): speed for each, speed in found.items()}
    return capacities, [
        _level(service.name, share, ours * share, times[at], spent[at], memory[at])
        for share in loop.shares
        for service in services
        for at in [(service.name, share)]
    ]


def measure_capacities(
    services: Sequence[Service], texts: Sequence[str], loop: OpenLoop
) -> dict[Service, Spread]:
    """Answers a second with 64 in flight, of all services in turn, round after round."""
    speeds: dict[Service, list[float]] = {service: [] for service in services}
    for _ in range(loop.rounds):
        for service in services:
            speeds[service].append(_capacity_of(service, texts, loop))
    return {service: spread(values) for service, values in speeds.items()}


def fastest_of_each_name(capacities: Mapping[Service, Spread]) -> list[Service]:
    """In the order in which the names first come."""
    fastest: dict[str, Service] = {}
    for service, speed in capacities.items():
        best = fastest.setdefault(service.name, service)
        if speed.median > capacities[best].median:
            fastest[service.name] = service
    return list(fastest.values())


def _capacity_of(service: Service, texts: Sequence[str], loop: OpenLoop) -> float:

    async def measured() -> float:
        async with service.caller() as caller:
            await capacity(caller, texts[: loop.capacity_calls // 4], IN_FLIGHT)
            return await capacity(caller, texts[: loop.capacity_calls], IN_FLIGHT)

    return asyncio.run(measured())


async def _offer(
    service: Service, texts: Sequence[str], moments: Sequence[float]
) -> list[CallTimes]:
    async with service.caller() as caller:
        await caller.call(texts[0])  # connects
        repeated = [texts[number % len(texts)] for number in range(len(moments))]
        return await open_loop(caller, repeated, moments)


def _level(
    service: str, share: float, rate: float, times: list[CallTimes], spent: float, memory: int
) -> Level:
    first = [1000 * each.first for each in times]
    whole = [1000 * each.whole for each in times]
    return Level(
        service,
        share,
        rate,
        first={percent: percentile(first, percent) for percent in PERCENTS},
        whole={percent: percentile(whole, percent) for percent in PERCENTS},
        unanswered=whole.count(UNANSWERED) / len(whole),
        cpu=1000 * spent / len(times),
        memory=memory / 1e6,
    )
