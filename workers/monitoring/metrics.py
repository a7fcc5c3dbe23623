"""What workers and controller count, in Prometheus's names."""

from collections.abc import Callable, Mapping

from prometheus_client import Counter, Histogram

from services.jobs.observer import ChunkOutcome, JobObserver
from services.jobs.store.records import State, Status

_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
_LOOK_SECONDS = (0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60)
_ENDS = (
    State.SUCCEEDED,
    State.PARTIALLY_SUCCEEDED,
    State.FAILED,
    State.CANCELLED,
    State.EXPIRED,
)


def _nobody(_: Mapping[str, int]) -> None:
    """A worker looks at no jobs."""


class JobMetrics(JobObserver):
    """To be built once in a process, before it forks; `on_look` is given the jobs of each look."""

    def __init__(self, on_look: Callable[[Mapping[str, int]], None] = _nobody) -> None:
        self._on_look = on_look
        self._lines = Counter(
            "seqway_worker_lines", "Lines that got their final record.", ["status"]
        )
        self._chunks = Counter("seqway_worker_chunks", "Chunks by what came of them.", ["outcome"])
        self._seconds = Histogram(
            "seqway_worker_chunk_seconds", "Seconds that a chunk took.", buckets=_SECONDS
        )
        self._hits = Counter(
            "seqway_worker_memo_hits", "Texts whose answer was known from earlier in their job."
        )
        self._misses = Counter("seqway_worker_memo_misses", "Texts whose answer was not known.")
        self._failures = Counter(
            "seqway_worker_attempts_failed", "Attempts at texts that ended with Triton or time."
        )
        self._halved = Counter(
            "seqway_worker_chunks_halved", "Chunks worked on in parts since attempts crashed."
        )
        self._lost = Counter("seqway_leases_lost", "Chunks whose worker did not renew its lease.")
        self._looks = Histogram(
            "seqway_reconcile_seconds", "Seconds of a look at all jobs.", buckets=_LOOK_SECONDS
        )
        self._ended = Counter("seqway_jobs_ended", "Jobs that have ended.", ["state"])
        self._begin_at_zero()

    def _begin_at_zero(self) -> None:
        """A rate over a counter that appears with its first count would miss that count."""
        for outcome in ChunkOutcome:
            self._chunks.labels(outcome.value)
        for status in Status:
            self._lines.labels(status.value)
        for state in _ENDS:
            self._ended.labels(state.lower())

    def chunk(self, outcome: ChunkOutcome, seconds: float) -> None:
        """See `JobObserver`; the time of chunks with nothing to do would tell nothing."""
        self._chunks.labels(outcome.value).inc()
        if outcome is not ChunkOutcome.SKIPPED:
            self._seconds.observe(seconds)

    def lines(self, counts: Mapping[str, int]) -> None:
        """See `JobObserver`."""
        for status, count in counts.items():
            self._lines.labels(status).inc(count)

    def recalled(self, hits: int, misses: int) -> None:
        """See `JobObserver`."""
        self._hits.inc(hits)
        self._misses.inc(misses)

    def attempt_failed(self) -> None:
        """See `JobObserver`."""
        self._failures.inc()

    def halved(self) -> None:
        """See `JobObserver`."""
        self._halved.inc()

    def leases_lost(self, count: int) -> None:
        """See `JobObserver`."""
        self._lost.inc(count)

    def looked(self, jobs: Mapping[str, int], seconds: float) -> None:
        """See `JobObserver`."""
        self._looks.observe(seconds)
        self._on_look(jobs)

    def job_ended(self, state: str) -> None:
        """See `JobObserver`."""
        self._ended.labels(state.lower()).inc()
