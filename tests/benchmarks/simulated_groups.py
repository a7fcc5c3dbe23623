"""What the simulator says of groups on this processor's cores, beside a measured run."""

import os
from pathlib import Path

from engine.parallel.capacity.dimensions import read_dimensions
from engine.parallel.capacity.lengths import LengthDistribution
from engine.parallel.capacity.load import SteadyGroup
from engine.parallel.processor.contention import measure_contention
from engine.parallel.processor.probe import CoreProbe
from engine.parallel.processor.times import ProcessorTimes
from engine.parallel.simulation.costs import ServiceCosts
from engine.parallel.simulation.fleet import GroupTimes
from engine.parallel.simulation.service import OfferedLoad, SimulatedService, simulate
from engine.runtime.batching.scheduler import Limits

_ENGINE_ALONE = ServiceCosts(gateway=0.0, front=0.0)
_OVERLOAD, _SECONDS = 1.5, 20.0


def simulated_tokens(
    folder: Path, probe: CoreProbe, groups: int, lengths: list[tuple[int, int]]
) -> float:
    """Tokens a second of so many groups of the variant, each on a core, whose slots are full.

    `lengths` are the tokens of sources and answers; nothing else is known of the measured run.
    """
    cores = min(groups, len(os.sched_getaffinity(0)))
    contention = measure_contention(probe.stored, cores)
    times = ProcessorTimes(read_dimensions(str(folder)), probe.stored, probe.figures(), contention)
    distribution = LengthDistribution.of_pairs(lengths)
    group = GroupTimes.of(SteadyGroup(times, Limits.max_rows, distribution))
    service = SimulatedService(group, distribution, 1, groups, 1, _ENGINE_ALONE)
    load = OfferedLoad(_OVERLOAD * service.group_rate, _SECONDS)
    return simulate(service, load).tokens
