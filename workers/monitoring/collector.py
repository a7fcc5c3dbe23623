"""What the controller knows of all jobs, asked at each scrape.

Every controller tells the same: queries take the maximum over them.
"""

import time
from collections.abc import Iterable, Mapping

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from services.inference.errors import ServiceUnavailableError
from services.jobs.queue.board import Board, QueueLoad
from services.jobs.store.records import State

_ACTIVE = (State.QUEUED, State.RUNNING)


class JobsCollector(Collector):
    """Jobs as the last look found them, and chunks as Redis has them now.

    Jobs are told for `patience` seconds after a look: the next one may be another controller's.
    """

    def __init__(self, board: Board, patience: float) -> None:
        self._board = board
        self._patience = patience
        self._jobs: Mapping[str, int] = {}
        self._looked = float("-inf")

    def looked(self, jobs: Mapping[str, int]) -> None:
        """Keeps how many jobs a look has found, by state."""
        self._jobs, self._looked = jobs, time.monotonic()

    def collect(self) -> Iterable[Metric]:
        """A Redis that is away costs its own metrics, never the scrape."""
        if time.monotonic() - self._looked < self._patience:
            yield self._of_jobs()
        try:
            load = self._board.load()
        except ServiceUnavailableError:
            yield GaugeMetricFamily("seqway_redis_up", _UP, value=0)
        else:
            yield GaugeMetricFamily("seqway_redis_up", _UP, value=1)
            yield from _of_load(load)

    def _of_jobs(self) -> Metric:
        family = GaugeMetricFamily(
            "seqway_jobs", "Jobs that have not ended, by state.", labels=["state"]
        )
        for state in _ACTIVE:
            family.add_metric([state.lower()], self._jobs.get(state.value, 0))
        return family

    def describe(self) -> Iterable[Metric]:
        """Nothing, so that registering does not ask Redis."""
        return ()


_UP = "Whether Redis answers the controller, 1 or 0."


def _of_load(load: QueueLoad) -> Iterable[Metric]:
    chunks = GaugeMetricFamily(
        "seqway_chunks", "Chunks that wait, and that workers have.", labels=["state"]
    )
    chunks.add_metric(["pending"], load.pending)
    chunks.add_metric(["running"], load.out)
    yield chunks
    for name, meaning, value in (
        ("seqway_tenants_waiting", "Tenants with chunks that wait.", load.tenants),
        ("seqway_redis_memory_bytes", "Memory that Redis uses.", load.memory),
        ("seqway_redis_memory_limit_bytes", "Redis's maxmemory; 0: none.", load.memory_limit),
    ):
        yield GaugeMetricFamily(name, meaning, value=value)
