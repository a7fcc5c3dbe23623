"""Brings Redis back to what the store says, ends what is due, removes what has expired.

Everything that can be lost is found here: messages, leases, all of Redis, a process that died
between two steps.  Safe to run by several processes at once.
"""

import time
from collections import Counter

import structlog

from services.foundation.endings import ENDINGS
from services.inference.errors import ServiceUnavailableError
from services.jobs.lifecycle.finisher import Finisher
from services.jobs.lifecycle.operations import remove
from services.jobs.observer import JobObserver
from services.jobs.queue.board import Board, Ticket
from services.jobs.queue.feeder import Feeder, lease_in_queue
from services.jobs.queue.lost_messages import LostMessages
from services.jobs.queue.messages import Queue
from services.jobs.settings import JobSettings
from services.jobs.store import layout
from services.jobs.store.archive import Archive, JobRun
from services.jobs.store.records import State

logger = structlog.get_logger(__name__)


class Reconciler:
    """One look at all jobs that may have work to do."""

    def __init__(
        self,
        archive: Archive,
        board: Board,
        queue: Queue,
        feeder: Feeder,
        finisher: Finisher,
        settings: JobSettings,
        observer: JobObserver | None = None,
    ) -> None:
        self._archive = archive
        self._store = archive.store
        self._board = board
        self._feeder = feeder
        self._finisher = finisher
        self._settings = settings
        self._observer = observer or JobObserver()
        self._lost_messages = LostMessages(board, queue, settings.chunk_lease)

    def reconcile(self) -> None:
        """Looks once; what fails for one job is logged, and the others are looked at."""
        began = time.perf_counter()
        states: Counter[str] = Counter()
        self._free_places()
        for job in list(self._archive.active()):
            try:
                if state := self._look(job):
                    states[state.value] += 1
            except ServiceUnavailableError as error:
                logger.warning("a job could not be looked at", job_id=job, error=str(error))
            except ENDINGS:
                raise
            except BaseException:
                logger.exception("a look at a job failed unexpectedly", job_id=job)
        self._feeder.feed()
        self._remove_expired()
        self._observer.looked(states, time.perf_counter() - began)

    def _free_places(self) -> None:
        """Has what nobody works on count no more as out."""
        lost = self._board.sweep(lease_in_queue(self._settings))
        if lost:
            self._observer.leases_lost(len(lost))
            logger.warning("chunks were lost", chunks=[str(ticket) for ticket in lost])
        dropped = self._lost_messages.drop()
        if dropped:
            logger.warning("messages were lost", chunks=[str(ticket) for ticket in dropped])

    def _look(self, job: str) -> State | None:
        """Brings a job forward; its state, None when it has ended or is none yet."""
        run = self._archive.current(job)
        if run is None:
            self._remove_leftover(job)
        elif not self._finisher.finish(run):
            return State.RUNNING if self._restore(run) else State.QUEUED
        return None

    def _restore(self, run: JobRun) -> int:
        """Has the chunks wait again of which neither the store nor Redis knows anything.

        Returns how many are done.
        """
        number = run.run.number
        known = {t.chunk for t in self._board.known(run.record.id) if t.run == number}
        done = self._archive.done(run)
        for chunk in known & done:
            # Its worker could not tell Redis that it is done.
            self._board.drop(Ticket(run.record.id, number, chunk), owned=True)
        missing = [c for c in run.run.chunks if c not in known and c not in done]
        if missing:
            logger.info("chunks are queued", job_id=run.record.id, chunks=len(missing))
            self._feeder.announce(run, missing)
        return len(done)

    def _remove_leftover(self, job: str) -> None:
        """An upload that never became a job."""
        since = self._archive.active_since(job)
        grace = self._settings.job_upload_grace
        if since is not None and self._archive.clock.is_over(since + grace):
            logger.info("an upload without a job is removed", job_id=job)
            self._store.delete_folder(layout.job_folder(job))
            self._store.delete(layout.active(job))

    def _remove_expired(self) -> None:
        clock = self._archive.clock
        for key in sorted(self._store.keys(layout.EXPIRING)):
            when, _, job = key.rpartition("/")[2].partition("-")
            if not clock.is_over(int(when) / 1000):
                return
            try:
                self._remove(key, job)
            except (ServiceUnavailableError, *ENDINGS):
                raise
            except BaseException:
                logger.exception("a job could not be deleted", job_id=job)

    def _remove(self, key: str, job: str) -> None:
        """Deletes a job whose time is over, and the key that tells of it."""
        run = self._archive.current(job)
        final = self._archive.final(run) if run is not None else None
        if run is not None and final is not None and self._archive.clock.is_over(final.delete):
            logger.info("a job is deleted: its time is over", job_id=job)
            remove(self._store, run)
        if run is None and self._archive.active_since(job) is None:
            self._store.delete_folder(layout.job_folder(job))  # half deleted
        self._store.delete(key)
