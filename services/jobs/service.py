"""Jobs as the gateway sees them, wired."""

import structlog

from services.inference.errors import UnavailableError
from services.jobs.archive import Archive, Run
from services.jobs.board import Board
from services.jobs.clock import Clock
from services.jobs.creation import Creator
from services.jobs.feeding import Feeder
from services.jobs.operations import Operations
from services.jobs.progress import Counter, Progress
from services.jobs.queue import Queue, celery_app
from services.jobs.records import Counts, JobRecord, RunRecord
from services.jobs.settings import JobSettings
from services.jobs.store import open_store

logger = structlog.get_logger(__name__)


class Jobs:
    """The store does not wait for Redis: what is not queued now, the reconciler queues."""

    def __init__(self, settings: JobSettings) -> None:
        self._board = Board(settings.redis_address, settings.redis_timeout, settings.tenant_weights)
        store = open_store(settings.job_store)
        self.archive = Archive(store, Clock(self._board, store))
        self.counter = Counter(self.archive)
        self.creator = Creator(self.archive, settings)
        self.operations = Operations(self.archive, self.counter)
        self._queue = Queue(celery_app(settings))
        self._feeder = Feeder(self._board, self._queue, settings)

    def start(self, record: JobRecord) -> Run:
        """Queues a job that was just created; one that is under way or has ended stays as it is."""
        run = self.archive.current(record.id)
        if run is None:  # deleted by somebody in this very moment
            chunks = range(len(record.sizes))
            return Run(record, RunRecord(1, chunks, Counts(), record.deadline))
        if self.archive.final(run) is None and not self.archive.done(run):
            self._queue_chunks(run)
        return run

    def cancel(self, tenant: str, job: str) -> Progress:
        """Cancels a job, and has it ended soon."""
        progress = self.operations.cancel(tenant, job)
        if not progress.ended:
            try:
                self._queue.finish_job(job)
            except UnavailableError as error:
                logger.warning("the reconciler has to end a job", job_id=job, error=str(error))
        return progress

    def resume(self, tenant: str, job: str, deadline: float | None) -> Run:
        """Starts a new run."""
        run = self.operations.resume(tenant, job, deadline)
        self._queue_chunks(run)
        return run

    def _queue_chunks(self, run: Run) -> None:
        try:
            self._feeder.announce(run, list(run.run.chunks))
            self._feeder.feed()
        except UnavailableError as error:
            logger.warning(
                "the reconciler has to queue a job", job_id=run.record.id, error=str(error)
            )
