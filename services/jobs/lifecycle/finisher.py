"""Ends runs: closes what was stopped, writes the output files, records how it ended."""

import json

import structlog

from services.inference.errors import ServiceUnavailableError
from services.jobs.chunks.runner import stopped
from services.jobs.lifecycle.creation import remove_other_uploads
from services.jobs.lifecycle.progress import Counter
from services.jobs.observer import JobObserver
from services.jobs.queue.board import Board
from services.jobs.store import layout
from services.jobs.store.archive import Archive, JobRun
from services.jobs.store.records import FINALS, FinalRecord, Status
from services.jobs.store.results import encode, line_of, raw_lines
from services.jobs.tracing import work_span

logger = structlog.get_logger(__name__)


class Finisher:
    """Safe to run twice, also at once: each step is written once, or the same each time."""

    def __init__(
        self, archive: Archive, board: Board, counter: Counter, observer: JobObserver | None = None
    ) -> None:
        self._archive = archive
        self._store = archive.store
        self._board = board
        self._counter = counter
        self._observer = observer or JobObserver()

    def finish(self, run: JobRun) -> bool:
        """Ends the run if all is done, or it was stopped; tells whether it has ended."""
        if self._archive.final(run) is None:
            if self._archive.is_cancelled(run) or self._archive.is_late(run):
                self._close_rest(run)
            if len(self._archive.done(run)) < len(run.run.chunks):
                return False
            with work_span("finish", run):
                self._write_files(run)
                remove_other_uploads(self._store, run.record)
                self._record(run)
        self._forget(run)
        return True

    def _close_rest(self, run: JobRun) -> None:
        """Gives the lines of chunks that nobody works on their final record."""
        status = Status.CANCELLED if self._archive.is_cancelled(run) else Status.EXPIRED
        try:
            self._board.forget(run.record.tenant, run.record.id)
            at_work = {t.chunk for t in self._board.known(run.record.id) if t.run == run.run.number}
        except ServiceUnavailableError:
            at_work = set()  # who comes late with a result is refused
        for chunk in sorted(set(run.run.chunks) - self._archive.done(run) - at_work):
            items = self._archive.items(run, chunk)
            before = self._archive.before(run)
            kept = self._archive.lines(before, chunk) if before is not None else None
            good = {x["index"]: x for x in kept or () if x["status"] == Status.SUCCEEDED.value}
            lines = [good.get(item.index) or line_of(item, stopped(status)) for item in items]
            self._store.create(run.layout.result(chunk), encode(lines, run=run.run.number))

    def _write_files(self, run: JobRun) -> None:
        """What succeeded in one file, and the rest in another, in order, chunk by chunk."""
        good = f'"status":{json.dumps(Status.SUCCEEDED.value)}'.encode()
        with (
            self._store.writer(run.layout.output) as output,
            self._store.writer(run.layout.errors) as errors,
        ):
            for chunk in range(len(run.record.sizes)):
                data = self._archive.lines_object(run, chunk)
                assert data is not None, "every chunk is done"
                for line in raw_lines(data):
                    # The status stands behind the index; what callers wrote comes later.
                    file = output if good in line[:64] else errors
                    file.write(line + b"\n")

    def _record(self, run: JobRun) -> None:
        counts = self._counter.count(run)
        assert counts.done == run.record.total, "every line has one final record"
        now = self._archive.clock.now()
        final = FinalRecord(
            state=counts.state(),
            counts=counts,
            ended=now,
            delete=now + run.record.retention,
            output=run.layout.output,
            errors=run.layout.errors,
        )
        self._store.create(layout.expiring(final.delete, run.record.id), b"")
        if self._store.create(run.layout.final, FINALS.encode(final)):
            self._observer.job_ended(final.state.value)
            logger.info(
                "a job has ended",
                job_id=run.record.id,
                tenant=run.record.tenant,
                state=final.state.value,
            )

    def _forget(self, run: JobRun) -> None:
        self._store.delete(layout.active(run.record.id))
        try:
            self._board.forget(run.record.tenant, run.record.id)
        except ServiceUnavailableError as error:
            logger.debug("Redis keeps a job that has ended", error=str(error))
