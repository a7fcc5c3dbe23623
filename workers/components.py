"""What the tasks of one process share, built when the first one needs it."""

import threading
from functools import cached_property

from celery import Celery

from services.jobs.chunks.memo import Memo
from services.jobs.chunks.runner import ChunkRunner
from services.jobs.lifecycle.finisher import Finisher
from services.jobs.lifecycle.progress import Counter
from services.jobs.lifecycle.reconciler import Reconciler
from services.jobs.observer import JobObserver
from services.jobs.queue.board import Board
from services.jobs.queue.feeder import Feeder
from services.jobs.queue.messages import Queue
from services.jobs.store.archive import Archive
from services.jobs.store.clock import Clock
from services.jobs.store.objects import open_store
from workers.inference import TritonInference
from workers.settings import WorkerSettings


class Components:
    """Built after the fork, since neither gRPC nor the store's threads survive one."""

    def __init__(self, app: Celery, settings: WorkerSettings) -> None:
        self.settings = settings
        self.lock = threading.Lock()
        self.queue = Queue(app)
        self.observer = JobObserver()

    @cached_property
    def board(self) -> Board:
        """The state in Redis."""
        settings = self.settings.jobs
        return Board(settings.redis_address, settings.redis_timeout, settings.tenant_weights)

    @cached_property
    def archive(self) -> Archive:
        """The records in the store."""
        store = open_store(self.settings.jobs.job_store)
        return Archive(store, Clock(self.board, store))

    @cached_property
    def feeder(self) -> Feeder:
        """Sends chunks to workers."""
        return Feeder(self.board, self.queue, self.settings.jobs)

    @cached_property
    def finisher(self) -> Finisher:
        """Ends jobs."""
        return Finisher(self.archive, self.board, Counter(self.archive), self.observer)

    @cached_property
    def reconciler(self) -> Reconciler:
        """Finds what was lost."""
        return Reconciler(
            self.archive,
            self.board,
            self.queue,
            self.feeder,
            self.finisher,
            self.settings.jobs,
            self.observer,
        )

    @cached_property
    def runner(self) -> ChunkRunner:
        """Runs chunks."""
        memo = Memo(self.board, self.archive.store, self.settings.jobs)
        inference = TritonInference(self.settings)
        return ChunkRunner(
            self.archive, self.board, memo, inference, self.settings.jobs, self.observer
        )
