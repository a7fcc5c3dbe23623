"""What can go wrong with a job; the reasons are those of docs/errors.md."""

from collections.abc import Sequence
from dataclasses import dataclass

from services.inference.errors import InvalidRequestError, SeqwayError, UnavailableError


@dataclass(frozen=True, slots=True)
class LineError:
    """Why a line of an input is refused; `line` counts from 1, 0 is the input as a whole."""

    line: int
    reason: str


class InvalidInputError(InvalidRequestError):
    """The input cannot be read; `lines` tells where and why, as far as they were looked at."""

    reason = "INVALID_INPUT"

    def __init__(self, message: str, lines: Sequence[LineError] = (), field: str = "input") -> None:
        super().__init__(message, field=field)
        self.lines = tuple(lines)


class UnreadableUriError(InvalidRequestError):
    """The URI of an input is not allowed, or nothing can be read there."""

    reason = "UNREADABLE_URI"


class UnknownJobError(SeqwayError):
    """There is no such job of this tenant."""

    reason = "UNKNOWN_JOB"


class RequestIdConflictError(SeqwayError):
    """The request id was used for a job with other content."""

    reason = "REQUEST_ID_CONFLICT"


class JobStateError(SeqwayError):
    """The job is not in a state in which that can be done."""

    reason = "JOB_STATE"


class StoreUnavailableError(UnavailableError):
    """The object store does not answer or takes nothing."""

    reason = "STORE_UNAVAILABLE"


class QueueUnavailableError(UnavailableError):
    """Redis does not answer; jobs that were accepted wait for it."""

    reason = "QUEUE_UNAVAILABLE"
