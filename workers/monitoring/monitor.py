"""What a worker's parent process tells of itself: metrics over HTTP, and a file of its liveness."""

import secrets
from collections.abc import Callable, Iterable
from pathlib import Path

from services.inference.errors import ServiceUnavailableError
from services.jobs.observer import JobObserver
from services.jobs.queue.board import Board
from services.jobs.queue.messages import CONTROL_QUEUE
from workers.monitoring.collector import JobsCollector
from workers.monitoring.exposition import Exposition, share_counts
from workers.monitoring.liveness import Liveness
from workers.monitoring.metrics import JobMetrics
from workers.settings import WorkerSettings

# A controller whose looks have stopped is not the one to ask how many jobs there are.
_LOOKS = 4


class Monitoring:
    """Does nothing before `start`, which comes before the pool is forked."""

    def __init__(self, settings: WorkerSettings) -> None:
        self._settings = settings
        self._exposition: Exposition | None = None
        self._board = Board(settings.jobs.redis_address, settings.jobs.redis_timeout, {})
        file = settings.process.heartbeat_file
        self._liveness = Liveness(Path(file), self._refuses) if file else None

    def start(self, queues: Iterable[str]) -> JobObserver:
        """Begins for a process that consumes these queues; returns who counts."""
        if self._liveness is not None:
            self._liveness.start()
        settings = self._settings
        if not settings.serving.metrics_port:
            return JobObserver()
        share_counts()
        if CONTROL_QUEUE not in queues:
            self._exposition = Exposition(settings.serving)
            return JobMetrics()
        collector = JobsCollector(self._board, settings.jobs.reconcile_interval * _LOOKS)
        self._exposition = Exposition(settings.serving, collector)
        return JobMetrics(collector.looked)

    def leave(self) -> None:
        """In a forked process, which serves nothing."""
        if self._exposition is not None:
            self._exposition.leave()

    def needs(self, lives: Callable[[], bool]) -> None:
        """Something without which the process does not do its work."""
        if self._liveness is not None:
            self._liveness.needs(lives)

    def consumes(self) -> None:
        """The consumer's loop has come round."""
        if self._liveness is not None:
            self._liveness.consumes()

    def comes_round(self) -> None:
        """The consumer has no connection, and still tries."""
        if self._liveness is not None:
            self._liveness.comes_round()

    def stops(self) -> None:
        """The process is being stopped."""
        if self._liveness is not None:
            self._liveness.leaves()

    def _refuses(self) -> bool:
        """Whether Redis takes no commands that write."""
        try:
            self._board.claim("liveness", secrets.token_hex(8), 0.001)
        except ServiceUnavailableError:
            return True
        return False
