"""The service as a whole: how texts go through it, tick by tick.

Calls come to gateways at random, from there to pods at random, and in a pod to the group that has
the most free budget of tokens. Rows of batch jobs come to groups evenly, from workers.
"""

import math
from dataclasses import dataclass, field

import numpy as np

from engine.parallel.capacity.lengths import LengthDistribution
from engine.parallel.simulation.arrivals import Arrivals, PoissonArrivals, RecordedArrivals
from engine.parallel.simulation.costs import ServiceCosts
from engine.parallel.simulation.fleet import Fleet, GroupTimes
from engine.parallel.simulation.report import SimulationReport, StageReport
from engine.parallel.simulation.router import spread
from engine.parallel.simulation.stage import Counts, Stage
from engine.runtime.batching.scheduler import Limits

_WARM = 0.25
"""Of the time, in which queues fill: texts that come then are not counted."""
_TICKS_OF_ANSWER, _LEAST_TICK, _MOST_TICKS = 8, 2e-3, 60_000


@dataclass(frozen=True)
class SimulatedService:
    """What is there: `pods` of `groups` each, whose times are `times`, and `gateways` processes."""

    times: GroupTimes
    lengths: LengthDistribution
    pods: int
    groups: int
    gateways: int
    costs: ServiceCosts = field(default_factory=ServiceCosts)

    @property
    def group_rate(self) -> float:
        """Texts a second that all groups answer at most."""
        rows, times = self.times.rows, self.times
        each = rows / (self.lengths.target * times.steps[-1] + rows * times.encoder)
        return float(self.pods * self.groups * each)

    def tick(self, seconds: float) -> float:
        """The seconds of a tick: a part of what an answer takes."""
        rows = max(1, self.times.rows // 4)
        answer = self.lengths.target * self.times.steps[rows]
        return max(_LEAST_TICK, seconds / _MOST_TICKS, float(answer) / _TICKS_OF_ANSWER)


@dataclass(frozen=True)
class OfferedLoad:
    """Texts a second, of which `batch` is a share that comes from jobs, for so many seconds.

    With `moments` interactive texts come then, in seconds, and none of jobs; it ends when all are
    answered, or after `seconds`.
    """

    rate: float
    seconds: float
    batch: float = 0.0
    moments: tuple[float, ...] = ()
    seed: int = 0


def simulate(service: SimulatedService, load: OfferedLoad) -> SimulationReport:
    """Runs the service under a load; the same seed gives the same report."""
    return _Simulation(service, load).run()


class _Simulation:
    def __init__(self, service: SimulatedService, load: OfferedLoad) -> None:
        self._service, self._load = service, load
        self._chance = np.random.default_rng(load.seed)
        self._tick = service.tick(load.seconds)
        self._ticks = math.ceil(load.seconds / self._tick)
        self._fleet = Fleet(
            service.pods * service.groups,
            service.times,
            service.lengths,
            *(self._tick, self._ticks),
            self._bulk_rows,
            self._chance,
        )
        self._gateways = Stage(service.gateways, service.costs.gateway)
        self._fronts = Stage(service.pods, service.costs.front)

    def run(self) -> SimulationReport:
        """Goes through all ticks, of which the first ones only fill the queues."""
        load, fleet = self._load, self._fleet
        came = self._arrivals().counts(self._ticks, self._tick)
        lines = 0.0 if load.moments else load.rate * load.batch
        bulk = self._chance.poisson(lines * self._tick, self._ticks)
        warm = 0 if load.moments else int(_WARM * self._ticks)
        fleet.since = warm * self._tick
        before, ticks = (0, 0, 0.0), 0
        for ticks in range(1, self._ticks + 1):
            self._advance(int(came[ticks - 1]), int(bulk[ticks - 1]))
            if ticks == warm:
                before = fleet.done, fleet.lines, fleet.tokens
            if load.moments and ticks * self._tick > load.moments[-1] and self._is_empty:
                break
        seconds = (ticks - warm) * self._tick
        done, lines_done, tokens = (
            (now - then) / seconds
            for now, then in zip((fleet.done, fleet.lines, fleet.tokens), before, strict=True)
        )
        offered = (int(came[:ticks].sum()) + int(bulk[:ticks].sum())) / (ticks * self._tick)
        return SimulationReport(
            offered=offered,
            answered=done,
            lines=lines_done,
            tokens=tokens,
            first_p50=fleet.first.percentile(50),
            first_p95=fleet.first.percentile(95),
            whole_p50=fleet.whole.percentile(50),
            whole_p95=fleet.whole.percentile(95),
            whole_mean=fleet.whole.mean(),
            seconds=seconds,
            stages=self._stages(ticks * self._tick),
        )

    def _arrivals(self) -> Arrivals:
        load = self._load
        if load.moments:
            return RecordedArrivals(np.array(load.moments))
        return PoissonArrivals(load.rate * (1 - load.batch), self._chance)

    def _advance(self, came: int, bulk: int) -> None:
        fleet, tick, gateways = self._fleet, self._tick, self._gateways.servers
        lines = self._split(bulk, self._service.pods * self._service.groups)
        of_pods = lines.reshape(self._service.pods, -1).sum(axis=1)
        none = np.zeros(gateways, np.int64)
        passed, delay = self._gateways.serve(self._split(came, gateways), none, tick)
        to_pods = self._split(int(passed.sum()), self._service.pods)
        arrived, more = self._fronts.serve(to_pods, of_pods, tick)
        load = fleet.load.reshape(self._service.pods, -1)
        fleet.advance(spread(arrived, load).ravel(), lines, delay + more)

    def _split(self, count: int, parts: int) -> Counts:
        """A number of texts at random over so many, `[parts]`."""
        return np.bincount(self._chance.integers(0, parts, count), minlength=parts)

    @property
    def _bulk_rows(self) -> int:
        """Rows of jobs in a group: few while interactive texts come."""
        share = 0.0 if self._load.moments else self._load.batch
        if not share:
            return 0
        return Limits.bulk_rows if share < 1 else self._service.times.rows

    @property
    def _is_empty(self) -> bool:
        return self._fleet.is_idle and not self._gateways.waiting + self._fronts.waiting

    def _stages(self, seconds: float) -> tuple[StageReport, ...]:
        service, fleet, costs = self._service, self._fleet, self._service.costs
        batch = 0.0 if self._load.moments else self._load.batch
        groups = StageReport(
            f"{service.pods * service.groups} groups of devices",
            service.group_rate,
            fleet.done / seconds / service.group_rate,
            int(fleet.waiting.sum() + fleet.bulk_waiting.sum()),
        )
        found = [groups]
        for name, stage, each, share in (
            ("gateways", self._gateways, costs.gateway, 1 - batch),
            ("fronts of pods", self._fronts, costs.front, 1.0),
        ):
            if each and share:
                most = stage.servers / each / share
                busy = stage.busy / seconds / stage.servers
                found.append(StageReport(f"{stage.servers} {name}", most, busy, stage.waiting))
        if batch:
            lines = self._load.rate * batch
            for name, busy in (
                ("Redis", costs.redis_share(lines)),
                ("the store", costs.store_share(lines)),
            ):
                found.append(StageReport(name, self._load.rate / busy, busy))
        return tuple(found)
