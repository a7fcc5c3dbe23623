"""All of `services.jobs` without Celery: messages go into a list, and a test runs them."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter as Counts
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from services.inference.errors import TritonUnavailableError
from services.inference.tasks.translation.translator import TranslationRequest
from services.jobs.chunks.inference import Cancelled
from services.jobs.chunks.memo import Memo
from services.jobs.chunks.runner import ChunkRunner
from services.jobs.lifecycle.creation import Creator, NewJob
from services.jobs.lifecycle.finisher import Finisher
from services.jobs.lifecycle.operations import Operations
from services.jobs.lifecycle.progress import Counter, Progress
from services.jobs.lifecycle.reconciler import Reconciler
from services.jobs.lifecycle.result_reader import Reader
from services.jobs.observer import ChunkOutcome, JobObserver
from services.jobs.queue.board import Board, Ticket
from services.jobs.queue.feeder import Feeder
from services.jobs.settings import JobSettings
from services.jobs.store.archive import Archive, JobRun
from services.jobs.store.clock import Clock
from services.jobs.store.items import Item
from services.jobs.store.objects import open_store
from services.jobs.store.records import JobRecord, Status
from services.jobs.store.results import Line, Outcome
from services.jobs.tasks import Task

TASK = TranslationRequest(source="en", target="fr", model="tiny")


class KilledError(BaseException):
    """Stands for kill -9: nothing after it runs that a killed process would not run."""


@dataclass
class FakeInference:
    """Answers in upper case; `kills` and `breaks` are texts that take down worker and Triton."""

    kills: set[str] = field(default_factory=set)
    breaks: set[str] = field(default_factory=set)
    ready: bool = True
    away: bool = False
    seen: list[str] = field(default_factory=list)
    gate: threading.Event | None = None
    started: threading.Event = field(default_factory=threading.Event)

    def is_ready(self, task: Task, *, afresh: bool = False) -> bool:
        return self.ready and not (afresh and self.away)

    def perform(
        self,
        task: Task,
        items: Sequence[Item],
        seconds: float,
        on_halt: Callable[[Callable[[], object] | None], None],
    ) -> Iterator[tuple[int, Outcome]]:
        halted = threading.Event()
        on_halt(halted.set)
        self.started.set()
        try:
            if self.gate is not None:
                while not self.gate.wait(0.01):
                    if halted.is_set():
                        raise Cancelled
            texts = {item.text for item in items}
            if texts & self.kills:
                raise KilledError
            if texts & self.breaks:
                raise TritonUnavailableError("Triton is gone")
            for item in items:
                self.seen.append(item.text)
                yield item.index, Outcome(Status.SUCCEEDED, {"text": item.text.upper()})
        finally:
            on_halt(None)


@dataclass
class FakeQueue:
    """Messages that wait; `lossy` drops them."""

    chunks: deque[Ticket] = field(default_factory=deque)
    jobs: list[str] = field(default_factory=list)
    lossy: bool = False

    def run_chunk(self, ticket: Ticket) -> None:
        if not self.lossy:
            self.chunks.append(ticket)

    def waiting(self, _board: Board) -> set[Ticket]:
        return set(self.chunks)

    def finish_job(self, job: str) -> None:
        self.jobs.append(job)


class Record(JobObserver):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.outcomes: Counts[ChunkOutcome] = Counts()
        self.statuses: Counts[str] = Counts()
        self.hits = self.misses = self.failed = self.halves = self.lost = 0
        self.jobs: Mapping[str, int] = {}
        self.ended: list[str] = []

    def chunk(self, outcome: ChunkOutcome, seconds: float) -> None:
        assert seconds >= 0
        self.outcomes[outcome] += 1

    def lines(self, counts: Mapping[str, int]) -> None:
        self.statuses.update(counts)

    def recalled(self, hits: int, misses: int) -> None:
        self.hits += hits
        self.misses += misses

    def attempt_failed(self) -> None:
        self.failed += 1

    def halved(self) -> None:
        self.halves += 1

    def leases_lost(self, count: int) -> None:
        self.lost += count

    def looked(self, jobs: Mapping[str, int], seconds: float) -> None:
        self.jobs = jobs

    def job_ended(self, state: str) -> None:
        self.ended.append(state)


@dataclass
class Bench:
    settings: JobSettings
    archive: Archive
    board: Board
    queue: FakeQueue
    inference: FakeInference
    creator: Creator
    counter: Counter
    operations: Operations
    feeder: Feeder
    finisher: Finisher
    reconciler: Reconciler
    runner: ChunkRunner
    record: Record

    def submit(self, texts: Iterable[str], tenant: str = "default", **order: object) -> JobRecord:
        items = (Item(index, text, f"id-{index}") for index, text in enumerate(texts))
        order = {"retention": 3600.0, **order}
        record = self.creator.create(NewJob(tenant, TASK, **order), items)  # type: ignore[arg-type]
        run = self.archive.current(record.id)
        assert run is not None
        self.feeder.announce(run, list(run.run.chunks))
        return record

    def pump(self, most: int = 10_000) -> None:
        """Feeds, and runs every message, as one worker would; then ends what has ended."""
        self.feeder.feed()
        while self.queue.chunks and most:
            most -= 1
            ticket = self.queue.chunks.popleft()
            if self.runner.run(ticket):
                run = self.archive.current(ticket.job)
                assert run is not None
                self.finisher.finish(run)
            self.feeder.feed()

    def settle(self, job: str, patience: float = 30.0) -> Progress:
        """Reconciles and pumps until the job has ended."""
        deadline = time.monotonic() + patience
        while not (progress := self.progress(job)).ended:
            assert time.monotonic() < deadline, progress
            self.reconciler.reconcile()
            try:
                self.pump()
            except KilledError:
                continue
            time.sleep(0.02)
        return progress

    def run(self, job: str) -> JobRun:
        run = self.archive.current(job)
        assert run is not None
        return run

    def progress(self, job: str) -> Progress:
        return self.counter.progress(self.run(job))

    def lines(self, job: str) -> list[Line]:
        reader = Reader(self.archive, self.run(job), 0)
        lines: list[Line] = []
        while not reader.at_end:
            part = reader.read()
            assert part is not None, "not done"
            lines += part
        return lines

    def check(self, job: str, total: int) -> list[Line]:
        """I1 and I2 of a job that has ended: one record a line, in order, and true counts."""
        lines = self.lines(job)
        assert [line["index"] for line in lines] == list(range(total))
        progress = self.progress(job)
        assert progress.ended
        assert progress.counts.done == total
        for status in Status:
            counted = sum(line["status"] == status.value for line in lines)
            assert getattr(progress.counts, status.value) == counted
        final = progress.final
        assert final is not None
        for name, succeeded in ((final.output, True), (final.errors, False)):
            data = self.archive.store.get(name)
            assert data is not None
            wanted = [x for x in lines if (x["status"] == Status.SUCCEEDED.value) is succeeded]
            assert [json.loads(line) for line in data.splitlines()] == wanted
        return lines

    def close(self) -> None:
        self.board.close()


def make_bench(redis_url: str, store_url: str, **settings: object) -> Bench:
    defaults = {
        "redis_url": redis_url,
        "job_store": store_url,
        "chunk_items": 4,
        "chunk_lease": 0.5,
        "chunk_patience": 0.5,
        "model_patience": 0.3,
        "job_pause": 0.2,
        "redis_timeout": 30.0,
    }
    made = JobSettings(**(defaults | settings))  # type: ignore[arg-type]
    board = Board(made.redis_url, made.redis_timeout, made.tenant_weights)
    store = open_store(made.job_store)
    archive = Archive(store, Clock(board, store))
    queue, inference, counter = FakeQueue(), FakeInference(), Counter(archive)
    feeder = Feeder(board, queue, made)  # type: ignore[arg-type]
    record = Record()
    finisher = Finisher(archive, board, counter, record)
    memo = Memo(board, archive.store, made)
    return Bench(
        settings=made,
        archive=archive,
        board=board,
        queue=queue,
        inference=inference,
        creator=Creator(archive, made),
        counter=counter,
        operations=Operations(archive, counter),
        feeder=feeder,
        finisher=finisher,
        reconciler=Reconciler(
            archive,
            board,
            queue,  # type: ignore[arg-type]
            feeder,
            finisher,
            made,
            record,
        ),
        runner=ChunkRunner(archive, board, memo, inference, made, record),
        record=record,
    )
