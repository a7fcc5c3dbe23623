"""Attempts at the texts of a chunk, piece by piece, until each has an outcome."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import structlog
import tenacity

from services.inference.errors import DeadlineExceededError, ServiceError, ServiceUnavailableError
from services.jobs.chunks.halves import ChunkPart, attempt_name, failed_attempts, parts_to_run
from services.jobs.chunks.heartbeat import Heartbeat
from services.jobs.chunks.inference import Cancelled, Inference
from services.jobs.chunks.memo import Memo
from services.jobs.observer import JobObserver
from services.jobs.queue.lease import Lease
from services.jobs.settings import JobSettings
from services.jobs.store.archive import Archive, JobRun
from services.jobs.store.items import Item
from services.jobs.store.results import Outcome, decode, encode, line_of
from services.jobs.tracing import LineSpans

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class WorkContext:
    """What the chunks of all jobs are worked on with."""

    archive: Archive
    memo: Memo
    inference: Inference
    settings: JobSettings
    observer: JobObserver


class Attempts:
    """The attempts of one worker at one chunk; `services.jobs.chunks.halves` says what is next."""

    def __init__(
        self,
        context: WorkContext,
        run: JobRun,
        lease: Lease,
        heartbeat: Heartbeat,
        spans: LineSpans,
    ) -> None:
        self._context = context
        self._store = context.archive.store
        self._run = run
        self._chunk = lease.ticket.chunk
        self._token = lease.token
        self._heartbeat = heartbeat
        self._spans = spans
        self._count = 0
        self._has_failed = False
        self._is_halved = False

    def run(self, items: Sequence[Item], done: dict[int, Outcome]) -> None:
        """Adds the outcomes of items to `done` until each has one, or it is time to stop."""
        while self._heartbeat.reason is None:
            plan = self._plan(len(items))
            is_halved = len(plan) > 1
            if is_halved:
                self._load(plan, done)
            parts = ((piece, items[piece.start : piece.stop]) for piece in plan)
            rest = ((p, part) for p, part in parts if any(i.index not in done for i in part))
            piece, part = next(rest, (None, ()))
            if piece is None:
                return
            self._try(piece, part, done)
            if is_halved and all(item.index in done for item in part):
                lines = [line_of(item, done[item.index]) for item in part]
                self._store.create(self._key(piece), encode(lines))

    def _plan(self, size: int) -> list[ChunkPart]:
        attempts = failed_attempts(self._store.keys(self._run.layout.attempts(self._chunk)))
        plan = list(parts_to_run(size, attempts, self._context.settings.chunk_attempts))
        if len(plan) > 1 and not self._is_halved:
            self._is_halved = True
            self._context.observer.halved()
        return plan

    def _load(self, plan: Sequence[ChunkPart], done: dict[int, Outcome]) -> None:
        """Adds what earlier attempts at the pieces of a halved chunk have done."""
        for piece in plan:
            data = self._store.get(self._key(piece))
            done.update((line["index"], Outcome.of_line(line)) for line in decode(data or b""))

    def _key(self, piece: ChunkPart) -> str:
        return self._run.layout.piece(self._chunk, piece.start, piece.stop)

    def _try(self, piece: ChunkPart, items: Sequence[Item], done: dict[int, Outcome]) -> None:
        """Makes one attempt at a piece; what came of it is in `done`, however it ends."""
        settings = self._context.settings
        if piece.poison:
            done[items[0].index] = Outcome.failure(
                "MODEL_FAILED",
                f"the model crashed or did not answer in {settings.chunk_attempts} attempts at"
                " this text alone",
            )
            return
        self._wait_ready()
        todo = [item for item in items if item.index not in done]
        with self._marked(piece), self._spans.answering(todo):
            for index, outcome in self._context.inference.perform(
                self._run.record.task, todo, settings.chunk_timeout, self._heartbeat.on_halt
            ):
                done[index] = outcome
                self._spans.answered(index, outcome)

    @contextmanager
    def _marked(self, piece: ChunkPart) -> Iterator[None]:
        """Marks an attempt; the mark goes unless the texts may have broken what ran them."""
        self._count += 1
        name = attempt_name(piece, f"{self._token}{self._count}")
        mark = f"{self._run.layout.attempts(self._chunk)}{name}"
        self._store.create(mark, b"")
        suspect = False
        try:
            yield
        except Cancelled:
            pass
        except (ServiceUnavailableError, DeadlineExceededError) as error:
            suspect = self._has_failed = True
            self._context.observer.attempt_failed()
            logger.warning("an attempt failed", piece=piece.name, error=str(error))
        except ServiceError as error:
            logger.warning("an attempt could not begin", piece=piece.name, error=str(error))
            self._heartbeat.wait(error.retry_delay or 1.0)
        if not suspect:
            self._store.delete(mark)

    def _wait_ready(self) -> None:
        """Waits until a model answers; ServiceUnavailableError when that takes too long."""
        task = self._run.record.task
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_result(
                lambda ready: not ready and self._heartbeat.reason is None
            ),
            wait=tenacity.wait_exponential_jitter(multiplier=0.2, max=5.0),
            stop=tenacity.stop_after_delay(self._context.settings.model_patience),
            sleep=self._heartbeat.wait,
        )
        try:
            # After a failure the model must be seen to answer: otherwise texts would be blamed
            # for a Triton that is away.
            retrying(lambda: self._context.inference.is_ready(task, afresh=self._has_failed))
        except tenacity.RetryError:
            raise ServiceUnavailableError("no model for the task answers") from None
