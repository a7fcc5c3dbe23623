"""What the calls of batch jobs return."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from seqway.results.classification import LabelScore
from seqway.results.generation import FinishReason, TokenCounts
from seqway.results.question_answering import Answer
from seqway.results.translation import Pivot


class JobState(StrEnum):
    """The state of a job; see `seqway.v1.JobState`."""

    UNSPECIFIED = "UNSPECIFIED"
    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    FINALIZING = "FINALIZING"
    SUCCEEDED = "SUCCEEDED"
    PARTIALLY_SUCCEEDED = "PARTIALLY_SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"

    @property
    def ended(self) -> bool:
        """Whether the job has ended, in whatever way."""
        return self in _ENDS


_ENDS = frozenset(
    {
        JobState.SUCCEEDED,
        JobState.PARTIALLY_SUCCEEDED,
        JobState.FAILED,
        JobState.CANCELLED,
        JobState.EXPIRED,
    }
)


class JobPriority(StrEnum):
    """Which of the caller's jobs goes first."""

    UNSPECIFIED = "UNSPECIFIED"
    LOW = "LOW"
    NORMAL = "NORMAL"
    HIGH = "HIGH"


class LineStatus(StrEnum):
    """The outcome of a line."""

    UNSPECIFIED = "UNSPECIFIED"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"


@dataclass(frozen=True, slots=True)
class JobCounts:
    """Lines by state; `total` is the sum of the others."""

    total: int
    pending: int
    succeeded: int
    failed: int
    cancelled: int
    expired: int

    @property
    def done(self) -> int:
        """Lines that have their final record."""
        return self.total - self.pending


@dataclass(frozen=True, slots=True)
class Job:
    """A batch job at the time of the call.

    `model` is empty when the server picks, `source_language` and `target_language` unless it
    translates.  `end_time` and `delete_time` are None, and the objects empty, before its end.
    `run` is 1, and one more for each time that the job was resumed.  `options` holds all
    other options of the task.
    """

    id: str
    state: JobState
    counts: JobCounts
    task: str
    model: str
    source_language: str
    target_language: str
    request_id: str
    labels: Mapping[str, str]
    priority: JobPriority
    create_time: datetime
    deadline: datetime | None
    end_time: datetime | None
    delete_time: datetime | None
    cancel_requested: bool
    run: int
    output_object: str
    error_object: str
    options: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class LineError:
    """Why a line did not succeed; `reason` is one of docs/errors.md."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class LineResult:
    """The final record of one line; `index` is its place in the input, from 0.

    `text` is the translation or the summary, `labels` are of a classification and `answers` of a
    question, best first.  `model` is the variant that was used; empty when none was.  `quality`
    and `pivot` are as in `Translation`, and so is `detected_language`.
    """

    index: int
    custom_id: str
    status: LineStatus
    error: LineError | None
    text: str
    labels: tuple[LabelScore, ...]
    answers: tuple[Answer, ...]
    no_answer_score: float
    finish_reason: FinishReason
    token_counts: TokenCounts
    warnings: tuple[str, ...]
    model: str
    detected_language: str = ""
    quality: float | None = None
    pivot: Pivot | None = None

    @property
    def succeeded(self) -> bool:
        """Whether there is an answer."""
        return self.status is LineStatus.SUCCEEDED
