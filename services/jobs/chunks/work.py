"""The work on one chunk: what is known already, what is to be answered, one commit."""

from collections import Counter
from collections.abc import Mapping, Sequence

import structlog
import tenacity

from services.inference.tracing import tracer
from services.jobs.chunks.attempts import Attempts, WorkContext
from services.jobs.chunks.heartbeat import Halt, Heartbeat
from services.jobs.errors import StoreUnavailableError
from services.jobs.queue.lease import Lease
from services.jobs.store.archive import JobRun
from services.jobs.store.items import Item
from services.jobs.store.records import Status
from services.jobs.store.results import Line, Outcome, encode, line_of
from services.jobs.tracing import LineSpans

logger = structlog.get_logger(__name__)


class GiveBackError(Exception):
    """The chunk cannot be done now: it is to be tried again later."""


class ChunkWork:
    """One chunk at work."""

    def __init__(
        self, context: WorkContext, run: JobRun, lease: Lease, heartbeat: Heartbeat
    ) -> None:
        self._context = context
        self._archive = context.archive
        self._run = run
        self._chunk = lease.ticket.chunk
        self._token = lease.token
        self._heartbeat = heartbeat
        self._spans = LineSpans()
        self._attempts = Attempts(context, run, lease, heartbeat, self._spans)

    def work(self) -> bool:
        """Answers what is to be answered, and commits; False when the lease was lost before."""
        items = self._archive.items(self._run, self._chunk)
        kept = self._archive.kept(self._run, self._chunk)
        todo = [item for item in items if item.index not in kept]
        done: dict[int, Outcome] = {}
        if self._heartbeat.look() is None:
            done = self._recalled(todo)
            self._spans.recalled(todo, done)
            self._answer(todo, done)
        if self._heartbeat.look() is Halt.LOST:
            return False
        self._commit(items, kept, done)
        return True

    def _recalled(self, items: Sequence[Item]) -> dict[int, Outcome]:
        texts = {item.text_id for item in items}
        known = self._context.memo.recall(self._run, list(texts))
        self._context.observer.recalled(len(known), len(texts) - len(known))
        return {item.index: known[item.text_id] for item in items if item.text_id in known}

    def _answer(self, items: Sequence[Item], done: dict[int, Outcome]) -> None:
        """Answers each text once, and gives the answer to all items that have it."""
        firsts = {item.text_id: item for item in reversed(items)}
        self._attempts.run(sorted(firsts.values(), key=lambda item: item.index), done)
        answered = {text: done[item.index] for text, item in firsts.items() if item.index in done}
        self._context.memo.memorize(self._run, self._chunk, answered)
        for item in items:
            first = firsts[item.text_id].index
            if first in done and item.index not in done:
                done[item.index] = done[first]
                self._spans.repeated(item, first, done[first])

    def _commit(
        self, items: Sequence[Item], kept: Mapping[int, Line], done: Mapping[int, Outcome]
    ) -> None:
        """Writes the results, once; a chunk that was stopped is closed only when its run is."""
        outcomes = dict(done)
        missing = [item for item in items if item.index not in kept and item.index not in done]
        if missing and self._heartbeat.reason is not Halt.ENDED:
            raise GiveBackError("the chunk was stopped")
        if missing:
            status = Status.EXPIRED if self._archive.is_late(self._run) else Status.CANCELLED
            outcomes.update((item.index, Outcome.stopped(status)) for item in missing)
        lines = [kept.get(item.index) or line_of(item, outcomes[item.index]) for item in items]
        if self._store_result(encode(lines, run=self._run.run.number, worker=self._token)):
            fresh = [line["status"] for line in lines if line["index"] not in kept]
            self._context.observer.lines(Counter(fresh))

    def _store_result(self, data: bytes) -> bool:
        """Waits for the store, since the work is done; False when a result was there already."""
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(StoreUnavailableError),
            wait=tenacity.wait_exponential_jitter(multiplier=0.2, max=5.0),
            stop=tenacity.stop_after_delay(self._context.settings.chunk_patience),
            sleep=self._heartbeat.wait,
            reraise=True,
        )
        with tracer.start_as_current_span("commit"):
            key = self._run.layout.result(self._chunk)
            is_new = retrying(self._archive.store.create, key, data)
        logger.info("a chunk is done" if is_new else "the result of a chunk already exists")
        return is_new
