"""Runs chunks: the lease, what became of the work, and whether the chunk waits again."""

import time

import structlog

from services.inference.errors import ServiceUnavailableError
from services.jobs.chunks.attempts import WorkContext
from services.jobs.chunks.heartbeat import Heartbeat
from services.jobs.chunks.inference import Inference
from services.jobs.chunks.memo import Memo
from services.jobs.chunks.work import ChunkWork, GiveBackError
from services.jobs.observer import ChunkOutcome, JobObserver
from services.jobs.queue.board import Board, Ticket
from services.jobs.queue.lease import Lease
from services.jobs.settings import JobSettings
from services.jobs.store.archive import Archive, JobRun
from services.jobs.tracing import work_span

logger = structlog.get_logger(__name__)

_WAITS_AGAIN = (ChunkOutcome.GIVEN_BACK, ChunkOutcome.PAUSED)


class ChunkRunner:
    """Runs chunks of all jobs; one at a time."""

    def __init__(
        self,
        archive: Archive,
        board: Board,
        memo: Memo,
        inference: Inference,
        settings: JobSettings,
        observer: JobObserver | None = None,
    ) -> None:
        self._archive = archive
        self._board = board
        self._memo = memo
        self._inference = inference
        self._settings = settings
        self._observer = observer or JobObserver()

    def run(self, ticket: Ticket) -> bool:
        """Runs a chunk if nobody else does; tells whether its job may have ended.

        A chunk that could not be done waits again.
        """
        began, outcome = time.perf_counter(), ChunkOutcome.FAILED
        lease = Lease(self._board, ticket, self._settings.chunk_lease)
        is_ours = lease.acquire()
        try:
            outcome = self._run(lease) if is_ours else ChunkOutcome.SKIPPED
        finally:
            self._observer.chunk(outcome, time.perf_counter() - began)
        return is_ours and outcome not in _WAITS_AGAIN and lease.release()

    def _run(self, lease: Lease) -> ChunkOutcome:
        run = self._archive.run(lease.ticket.job, lease.ticket.run)
        if run is None or not self._is_open(run, lease.ticket.chunk):
            return ChunkOutcome.SKIPPED
        record = run.record
        with structlog.contextvars.bound_contextvars(
            tenant=record.tenant, request_id=record.request_id
        ):
            try:
                return self._work(run, lease)
            except GiveBackError as error:
                logger.info("a chunk is given back", error=str(error))
                outcome = ChunkOutcome.GIVEN_BACK
            except ServiceUnavailableError as error:
                logger.warning("a job pauses, and a chunk is given back", error=str(error))
                self._pause(record.id)
                outcome = ChunkOutcome.PAUSED
            lease.give_back(run)
            return outcome

    def _work(self, run: JobRun, lease: Lease) -> ChunkOutcome:
        chunk = lease.ticket.chunk
        if self._is_paused(run.record.id):
            raise GiveBackError("its job was paused after the chunk was queued")
        with (
            work_span("chunk", run, chunk=chunk, lines=run.record.sizes[chunk]),
            Heartbeat(lease, self._archive, run) as heartbeat,
        ):
            context = WorkContext(
                self._archive, self._memo, self._inference, self._settings, self._observer
            )
            is_done = ChunkWork(context, run, lease, heartbeat).work()
        return ChunkOutcome.DONE if is_done else ChunkOutcome.LOST

    def _is_open(self, run: JobRun, chunk: int) -> bool:
        store, layout = self._archive.store, run.layout
        return not (store.exists(layout.result(chunk)) or store.exists(layout.final))

    def _is_paused(self, job: str) -> bool:
        try:
            return self._board.is_paused(job)
        except ServiceUnavailableError:
            return False

    def _pause(self, job: str) -> None:
        try:
            self._board.pause(job, self._settings.job_pause)
        except ServiceUnavailableError as error:
            logger.warning("the job could not be paused", error=str(error))
