"""Jobs as the gateway sees them, wired."""

from services.jobs.lifecycle.creation import Creator
from services.jobs.lifecycle.operations import Operations
from services.jobs.lifecycle.progress import Counter
from services.jobs.queue.board import Board
from services.jobs.queue.feeder import Feeder
from services.jobs.queue.messages import Queue, celery_app
from services.jobs.settings import JobSettings
from services.jobs.store.archive import Archive, JobRun
from services.jobs.store.clock import Clock
from services.jobs.store.objects import open_store
from services.jobs.store.records import JobRecord, LineCounts, RunRecord

# Seconds for one answer: no caller is to wait longer for what the reconciler does as well.
_REDIS_PATIENCE = 0.8


class JobBackend:
    """The store does not wait for Redis: what is not queued now, the reconciler queues.

    All methods block.
    """

    def __init__(self, settings: JobSettings) -> None:
        patience = min(settings.redis_timeout, _REDIS_PATIENCE)
        self._board = Board(settings.redis_address, patience, settings.tenant_weights)
        store = open_store(settings.job_store)
        self.archive = Archive(store, Clock(self._board, store))
        self.counter = Counter(self.archive)
        self.creator = Creator(self.archive, settings)
        self.operations = Operations(self.archive, self.counter)
        self._queue = Queue(celery_app(settings, patience))
        self._feeder = Feeder(self._board, self._queue, settings)

    def started(self, record: JobRecord) -> tuple[JobRun, bool]:
        """The run of a job that was just created, and whether it is to be queued.

        One that is under way or has ended stays as it is.
        """
        run = self.archive.current(record.id)
        if run is None:  # deleted by somebody in this very moment
            chunks = range(len(record.sizes))
            return JobRun(record, RunRecord(1, chunks, LineCounts(), record.deadline)), False
        return run, self.archive.final(run) is None and not self.archive.done(run)

    def announce(self, run: JobRun) -> None:
        """Queues the chunks of a run; QueueUnavailableError."""
        self._feeder.announce(run, list(run.run.chunks))
        self._feeder.feed()

    def finish(self, job: str) -> None:
        """Has a job ended soon that was cancelled; QueueUnavailableError."""
        self._queue.finish_job(job)
