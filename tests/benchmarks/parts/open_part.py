"""Calls that come at random: our service beside two peers, at shares of our capacity."""

import dataclasses

from deploy.local.assembly import running_stack
from deploy.local.settings import StackSettings
from tests.benchmarks.open_loop.levels import OpenLoop, measure_levels
from tests.benchmarks.open_loop.services import our_services, running_peers
from tests.benchmarks.parts.subject import PartResult, Subject
from tests.benchmarks.report.open_loop_tables import capacity_grid, level_grid
from tests.benchmarks.report.plots import latency_plot
from tests.benchmarks.speed.workload import descriptions

SHARES = (0.25, 0.5, 0.8, 0.95)
TEXTS = 1000


def measure_open_loop(subject: Subject) -> PartResult:
    """Texts as long as descriptions of packages are; of the random checkpoint, single sentences."""
    limit = 128 if subject.is_trained else 32
    texts = descriptions(TEXTS, single=not subject.is_trained)
    settings = StackSettings(model_repository=subject.repository)
    with (
        running_stack(settings) as stack,
        running_peers(
            subject.converted, subject.checkpoint, limit, short=subject.scale.short
        ) as peers,
    ):
        services = [*our_services(stack, subject.model, limit), *peers]
        loop = open_loop_of(subject)
        capacities, levels = measure_levels(services, texts, loop, subject.console)
    return PartResult(
        {
            "capacities": {name: dataclasses.asdict(each) for name, each in capacities.items()},
            "levels": [dataclasses.asdict(each) for each in levels],
        },
        [capacity_grid(subject.name, capacities), level_grid(subject.name, levels)],
        latency_plot(subject.name, levels),
    )


def open_loop_of(subject: Subject) -> OpenLoop:
    """How much is offered."""
    if subject.scale.short:
        return OpenLoop(1, SHARES, seconds=2.0, most_calls=30, capacity_calls=100)
    return OpenLoop(subject.scale.rounds, SHARES, 10.0, most_calls=10_000, capacity_calls=1000)
