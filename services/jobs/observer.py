"""What happens to chunks and jobs, told to whoever counts it; by default nobody does."""

from collections.abc import Mapping
from enum import StrEnum


class ChunkOutcome(StrEnum):
    """What became of an attempt to run a chunk."""

    DONE = "done"  # its results are written, by this worker or another
    LOST = "lost"  # its lease was lost, so another worker may have it
    GIVEN_BACK = "given_back"  # it waits again: it was stopped, or its job pauses
    PAUSED = "paused"  # it waits again, and its job pauses: no model answers, or no store
    SKIPPED = "skipped"  # there was nothing to do: another worker has it, or it is done
    FAILED = "failed"  # something that nobody foresaw


class JobObserver:
    """Is told of all that is worth counting; this one counts nothing."""

    def chunk(self, outcome: ChunkOutcome, seconds: float) -> None:
        """A worker has let go of a chunk after so many seconds."""

    def lines(self, counts: Mapping[str, int]) -> None:
        """Lines got their final record in a chunk; how many, by status."""

    def recalled(self, hits: int, misses: int) -> None:
        """Texts were looked up among the answers of their job."""

    def attempt_failed(self) -> None:
        """An attempt at texts ended with Triton, or in its time limit."""

    def halved(self) -> None:
        """A chunk is worked on in parts, because attempts at the whole crashed."""

    def leases_lost(self, count: int) -> None:
        """Chunks whose worker did not renew their lease."""

    def looked(self, jobs: Mapping[str, int], seconds: float) -> None:
        """A look at all jobs has ended after so many seconds; how many there are, by state."""

    def job_ended(self, state: str) -> None:
        """A job has ended."""
