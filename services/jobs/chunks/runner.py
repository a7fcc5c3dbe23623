"""Runs one chunk: lease, attempts, answers, one commit."""

import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from typing import Protocol

import structlog
import tenacity

from services.inference.errors import DeadlineExceededError, ServiceError, ServiceUnavailableError
from services.inference.tracing import tracer
from services.jobs.chunks.heartbeat import Halt, Heartbeat
from services.jobs.chunks.memo import Memo
from services.jobs.chunks.pieces import ChunkPart, attempt_name, failed_attempts, pieces
from services.jobs.errors import StoreUnavailableError
from services.jobs.observer import ChunkOutcome, JobObserver
from services.jobs.queue.board import Board, Ticket
from services.jobs.settings import JobSettings
from services.jobs.store.archive import Archive, JobRun
from services.jobs.store.items import Item
from services.jobs.store.records import Status
from services.jobs.store.recurrence import text_id
from services.jobs.store.results import Line, Outcome, decode, encode, line_of
from services.jobs.tasks import Task
from services.jobs.tracing import LineSpans, work_span

logger = structlog.get_logger(__name__)

Done = MutableMapping[int, Outcome]


class Cancelled(Exception):  # noqa: N818
    """Work was stopped from outside."""


class Inference(Protocol):
    """Answers texts; all its methods block."""

    def is_ready(self, task: Task, *, afresh: bool = False) -> bool:
        """Whether a model for the task answers: when it was last asked, or `afresh`, now."""
        ...

    def perform(
        self,
        task: Task,
        items: Sequence[Item],
        seconds: float,
        done: Done,
        on_halt: Callable[[Callable[[], object] | None], None],
    ) -> None:
        """Puts an outcome for each item into `done`, as they come.

        Raises Cancelled when what it gave to `on_halt` was called, a SeqwayError when Triton fails.
        """
        ...


class GiveBackError(Exception):
    """The chunk cannot be done now: somebody is to try it again later."""


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
        self._store = archive.store
        self._board = board
        self._memo = memo
        self._inference = inference
        self._settings = settings
        self._observer = observer or JobObserver()
        self._outcome = ChunkOutcome.FAILED

    def run(self, ticket: Ticket) -> bool:
        """Runs a chunk if nobody else does; tells whether its job may have ended.

        A chunk that could not be done waits again.
        """
        began, self._outcome = time.perf_counter(), ChunkOutcome.FAILED
        try:
            return self._run(ticket)
        finally:
            self._observer.chunk(self._outcome, time.perf_counter() - began)

    def _run(self, ticket: Ticket) -> bool:
        token = secrets.token_hex(8)
        if not self._acquire(ticket, token, self._settings.chunk_lease):
            self._outcome = ChunkOutcome.SKIPPED
            return False
        run = self._archive.run(ticket.job, ticket.run)
        if run is None or not self._is_open(run, ticket.chunk):
            self._outcome = ChunkOutcome.SKIPPED
            return self._release(ticket, token)
        record = run.record
        with structlog.contextvars.bound_contextvars(
            tenant=record.tenant, request_id=record.request_id
        ):
            return self._run_leased(run, ticket, token)

    def _run_leased(self, run: JobRun, ticket: Ticket, token: str) -> bool:
        lease = self._settings.chunk_lease
        try:
            if self._is_paused(ticket.job):
                raise GiveBackError("its job has paused since the chunk was queued")
            with (
                work_span("chunk", run, chunk=ticket.chunk, lines=run.record.sizes[ticket.chunk]),
                Heartbeat(self._board, self._archive, run, ticket, token, lease) as heartbeat,
            ):
                done = _Chunk(self, run, ticket.chunk, token, heartbeat).work()
            self._outcome = ChunkOutcome.DONE if done else ChunkOutcome.LOST
        except GiveBackError as error:
            logger.info("a chunk is given back", error=str(error))
            self._outcome = ChunkOutcome.GIVEN_BACK
            self._give_back(run, ticket, token)
            return False
        except ServiceUnavailableError as error:
            logger.warning("a job pauses, and a chunk is given back", error=str(error))
            self._outcome = ChunkOutcome.PAUSED
            self._pause(ticket.job)
            self._give_back(run, ticket, token)
            return False
        return self._release(ticket, token)

    def _acquire(self, ticket: Ticket, token: str, lease: float) -> bool:
        try:
            return self._board.acquire(ticket, token, lease)
        except ServiceUnavailableError:
            return True  # the commit decides

    def _is_open(self, run: JobRun, chunk: int) -> bool:
        layout = run.layout
        return not (self._store.exists(layout.result(chunk)) or self._store.exists(layout.final))

    def _release(self, ticket: Ticket, token: str) -> bool:
        try:
            return self._board.release(ticket, token)
        except ServiceUnavailableError:
            return False  # the reconciler will see it

    def _give_back(self, run: JobRun, ticket: Ticket, token: str) -> None:
        try:
            self._board.put_back(run.record.tenant, run.order, ticket, token)
        except ServiceUnavailableError as error:
            logger.warning("the reconciler has to find a chunk", error=str(error))

    def _is_paused(self, job: str) -> bool:
        try:
            return self._board.is_paused(job)
        except ServiceUnavailableError:
            return False

    def _pause(self, job: str) -> None:
        try:
            self._board.pause(job, self._settings.job_pause)
        except ServiceUnavailableError as error:
            logger.warning("the job does not pause", error=str(error))

    @property
    def parts(self) -> tuple[Archive, Memo, Inference, JobSettings, JobObserver]:
        """What a chunk works with."""
        return self._archive, self._memo, self._inference, self._settings, self._observer


class _Chunk:
    """One chunk at work."""

    def __init__(
        self, runner: ChunkRunner, run: JobRun, chunk: int, token: str, heartbeat: Heartbeat
    ) -> None:
        self._archive, self._memo, self._inference, self._settings, self._observer = runner.parts
        self._store = self._archive.store
        self._run = run
        self._chunk = chunk
        self._token = token
        self._heartbeat = heartbeat
        self._attempt = 0
        self._has_failed = False
        self._spans = LineSpans()
        self._is_halved = False

    def work(self) -> bool:
        """Answers what is to be answered, and commits; False when the lease was lost before."""
        items = self._archive.items(self._run, self._chunk)
        before = self._kept()
        todo = [item for item in items if item.index not in before]
        done: dict[int, Outcome] = {}
        if self._heartbeat.look() is None:
            done = self._recalled(todo)
            self._spans.recalled(todo, done)
            self._answer(todo, done)
        if self._heartbeat.look() is Halt.LOST:
            return False
        self._commit(items, before, done)
        return True

    def _kept(self) -> dict[int, Line]:
        """What an earlier run has done well."""
        before = self._archive.before(self._run)
        lines = self._archive.lines(before, self._chunk) if before is not None else None
        succeeded = Status.SUCCEEDED.value
        return {line["index"]: line for line in lines or () if line["status"] == succeeded}

    def _recalled(self, items: Sequence[Item]) -> dict[int, Outcome]:
        ids = {text_id(item): item for item in items}
        known = self._memo.recall(self._run, list(ids))
        self._observer.recalled(len(known), len(ids) - len(known))
        return {item.index: known[text] for item in items if (text := text_id(item)) in known}

    def _answer(self, items: Sequence[Item], done: dict[int, Outcome]) -> None:
        """Runs piece after piece until each item has an outcome, or it is time to stop."""
        firsts = {text_id(item): item for item in reversed(items)}
        unique = sorted(firsts.values(), key=lambda item: item.index)
        while self._heartbeat.reason is None:
            keys = self._store.keys(self._run.layout.attempts(self._chunk))
            attempts = failed_attempts(keys)
            plan = list(pieces(len(unique), attempts, self._settings.chunk_attempts))
            self._note_halved(plan)
            self._load(plan, done)
            rest = [
                piece
                for piece in plan
                if any(item.index not in done for item in unique[piece.start : piece.stop])
            ]
            if not rest:
                break
            self._try(rest[0], unique[rest[0].start : rest[0].stop], done, halved=len(plan) > 1)
        self._memo.memorize(
            self._run,
            self._chunk,
            {text: done[item.index] for text, item in firsts.items() if item.index in done},
        )
        for item in items:
            first = firsts[text_id(item)].index
            if first in done and item.index not in done:
                done[item.index] = done[first]
                self._spans.repeated(item, first, done[first])

    def _note_halved(self, plan: Sequence[ChunkPart]) -> None:
        if len(plan) > 1 and not self._is_halved:
            self._is_halved = True
            self._observer.halved()

    def _load(self, plan: Sequence[ChunkPart], done: Done) -> None:
        """What earlier attempts at a chunk that is halved have done."""
        if len(plan) == 1:
            return
        for piece in plan:
            key = self._run.layout.piece(self._chunk, piece.start, piece.stop)
            data = self._store.get(key)
            for line in decode(data) if data else ():
                done[line["index"]] = _outcome(line)

    def _try(self, piece: ChunkPart, items: Sequence[Item], done: Done, *, halved: bool) -> None:
        """One attempt at a piece; what came of it is in `done`."""
        if piece.poison:
            done[items[0].index] = Outcome.failure(
                "MODEL_FAILED",
                f"the model crashed or gave no answer in {self._settings.chunk_attempts} attempts"
                " at this text alone",
            )
        else:
            self._wait_ready()
            todo = [item for item in items if item.index not in done]
            self._attempt += 1
            with self._attempting(piece), self._spans.answering(todo, done) as noting:
                self._inference.perform(
                    self._run.record.task,
                    todo,
                    self._settings.chunk_timeout,
                    noting,
                    self._heartbeat.on_halt,
                )
        if halved and all(item.index in done for item in items):
            lines = [line_of(item, done[item.index]) for item in items]
            key = self._run.layout.piece(self._chunk, piece.start, piece.stop)
            self._store.create(key, encode(lines))

    @contextmanager
    def _attempting(self, piece: ChunkPart) -> Iterator[None]:
        """Marks an attempt; the mark goes unless the texts may have broken what ran them."""
        name = attempt_name(piece, f"{self._token}{self._attempt}")
        mark = f"{self._run.layout.attempts(self._chunk)}{name}"
        self._store.create(mark, b"")
        suspect = False
        try:
            yield
        except Cancelled:
            pass
        except (ServiceUnavailableError, DeadlineExceededError) as error:
            suspect = self._has_failed = True
            self._observer.attempt_failed()
            logger.warning("an attempt failed", piece=piece.name, error=str(error))
        except ServiceError as error:
            logger.warning("an attempt could not begin", piece=piece.name, error=str(error))
            self._heartbeat.wait(error.retry_delay or 1.0)
        if not suspect:
            self._store.delete(mark)

    def _wait_ready(self) -> None:
        """Waits until a model answers; UnavailableError when that takes too long."""

        def pause(seconds: float) -> None:
            self._heartbeat.wait(seconds)

        task = self._run.record.task
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_result(
                lambda ready: not ready and self._heartbeat.reason is None
            ),
            wait=tenacity.wait_exponential_jitter(multiplier=0.2, max=5.0),
            stop=tenacity.stop_after_delay(self._settings.model_patience),
            sleep=pause,
        )
        try:
            # After a failure the model must be seen to answer: else texts would be blamed for a
            # Triton that is away.
            retrying(lambda: self._inference.is_ready(task, afresh=self._has_failed))
        except tenacity.RetryError:
            raise ServiceUnavailableError("no model for the task answers") from None

    def _commit(self, items: Sequence[Item], before: dict[int, Line], done: Done) -> None:
        """Writes the results, once; a chunk that was stopped is closed only when its run is."""
        missing = [item for item in items if item.index not in before and item.index not in done]
        if missing and self._heartbeat.reason is not Halt.ENDED:
            raise GiveBackError("the chunk was stopped")
        if missing:
            status = Status.EXPIRED if self._archive.is_late(self._run) else Status.CANCELLED
            done.update((item.index, stopped(status)) for item in missing)
        lines = [before.get(item.index) or line_of(item, done[item.index]) for item in items]
        data = encode(lines, run=self._run.run.number, worker=self._token)
        if self._store_result(data):
            fresh = [line for line in lines if line["index"] not in before]
            self._observer.lines(Counter(line["status"] for line in fresh))

    def _store_result(self, data: bytes) -> bool:
        """Waits for the store, since the work is done; False when a result was there already."""

        def pause(seconds: float) -> None:
            self._heartbeat.wait(seconds)

        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(StoreUnavailableError),
            wait=tenacity.wait_exponential_jitter(multiplier=0.2, max=5.0),
            stop=tenacity.stop_after_delay(self._settings.chunk_patience),
            sleep=pause,
            reraise=True,
        )
        with tracer.start_as_current_span("commit"):
            is_new = retrying(self._store.create, self._run.layout.result(self._chunk), data)
        logger.info("a chunk is done" if is_new else "a result was there already")
        return is_new


def stopped(status: Status) -> Outcome:
    """The outcome of a line whose run ended before it was done."""
    if status is Status.EXPIRED:
        why = "the job's deadline passed before this line was done"
        return Outcome.failure("DEADLINE_PASSED", why, status)
    why = "the job was cancelled before this line was done"
    return Outcome.failure("JOB_CANCELLED", why, status)


def _outcome(line: Line) -> Outcome:
    rest = {k: v for k, v in line.items() if k not in ("index", "status", "custom_id", "error")}
    error = line.get("error", {})
    return Outcome(Status(line["status"]), rest, error.get("reason", ""), error.get("message", ""))
