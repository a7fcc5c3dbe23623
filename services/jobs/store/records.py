"""What the store keeps of a job beside its input and results.  Every record is written once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Generic, TypeVar

from pydantic import TypeAdapter

from services.jobs.tasks import Task


class State(StrEnum):
    """Where a job stands; see docs/reference.md."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    FINALIZING = "FINALIZING"
    SUCCEEDED = "SUCCEEDED"
    PARTIALLY_SUCCEEDED = "PARTIALLY_SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"


class Status(StrEnum):
    """What became of a line."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class QueuePriority(IntEnum):
    """Which of a tenant's jobs goes first: the lowest value."""

    HIGH = 1
    NORMAL = 2
    LOW = 3


@dataclass(frozen=True, slots=True)
class LineCounts:
    """How many lines became what."""

    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0
    expired: int = 0

    def __add__(self, other: "LineCounts") -> "LineCounts":
        return LineCounts(*(getattr(self, n) + getattr(other, n) for n in self.__slots__))

    @property
    def done(self) -> int:
        """All that have a final record."""
        return self.succeeded + self.failed + self.cancelled + self.expired

    def state(self) -> State:
        """The state of a job that has ended with these counts."""
        if self.cancelled:
            return State.CANCELLED
        if self.expired:
            return State.EXPIRED
        if not self.failed:
            return State.SUCCEEDED
        return State.PARTIALLY_SUCCEEDED if self.succeeded else State.FAILED


def count(statuses: Mapping[str, int]) -> LineCounts:
    """The counts of statuses by name."""
    return LineCounts(**{status.value: statuses.get(status.value, 0) for status in Status})


@dataclass(frozen=True, slots=True)
class JobRecord:
    """A job as it was accepted.  Times are seconds since the epoch, of `clock.Clock`.

    `sizes` are the numbers of lines of its chunks; `upload` names the folder with the input.
    `traceparent` is the span of the call that made it, in W3C's form.
    """

    id: str
    tenant: str
    task: Task
    upload: str
    digest: str
    sizes: Sequence[int]
    created: float
    retention: float
    deadline: float | None = None
    request_id: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    priority: QueuePriority = QueuePriority.NORMAL
    traceparent: str = ""

    @property
    def total(self) -> int:
        """Its lines."""
        return sum(self.sizes)


@dataclass(frozen=True, slots=True)
class RunRecord:
    """The first run, or one that was resumed: the chunks that it does.

    `kept` counts the lines of the chunks that it leaves as they are.
    """

    number: int
    chunks: Sequence[int]
    kept: LineCounts
    deadline: float | None


@dataclass(frozen=True, slots=True)
class FinalRecord:
    """How a run ended."""

    state: State
    counts: LineCounts
    ended: float
    delete: float
    output: str
    errors: str


@dataclass(frozen=True, slots=True)
class ActiveRecord:
    """Says that a job may have work to do; its record may not be there yet."""

    tenant: str
    since: float


_Record = TypeVar("_Record")


class Codec(Generic[_Record]):
    """A record as JSON."""

    def __init__(self, kind: type[_Record]) -> None:
        self._adapter: TypeAdapter[_Record] = TypeAdapter(kind)

    def encode(self, record: _Record) -> bytes:
        """The bytes to store."""
        return self._adapter.dump_json(record)

    def decode(self, data: bytes) -> _Record:
        """The record of stored bytes."""
        return self._adapter.validate_json(data)


JOBS = Codec(JobRecord)
RUNS = Codec(RunRecord)
FINALS = Codec(FinalRecord)
ACTIVES = Codec(ActiveRecord)
