"""What can go wrong with a job; the reasons are those of docs/errors.md."""

from collections.abc import Sequence
from dataclasses import dataclass

from services.inference.errors import BadRequestError, ServiceError, ServiceUnavailableError


@dataclass(frozen=True, slots=True)
class InvalidLine:
    """Why a line of an input is refused; `line` counts from 1, 0 is the input as a whole."""

    line: int
    reason: str


class InvalidInputError(BadRequestError):
    """The input cannot be read; `lines` tells where and why, as far as they were looked at."""

    reason = "INVALID_INPUT"

    def __init__(
        self, message: str, lines: Sequence[InvalidLine] = (), field: str = "input"
    ) -> None:
        super().__init__(message, field=field)
        self.lines = tuple(lines)


class UnreadableUriError(BadRequestError):
    """The URI of an input is not allowed, or nothing can be read there."""

    reason = "UNREADABLE_URI"


class UnknownJobError(ServiceError):
    """There is no such job of this tenant."""

    reason = "UNKNOWN_JOB"


class RequestIdConflictError(ServiceError):
    """The request id was used for a job with other content."""

    reason = "REQUEST_ID_CONFLICT"


class JobStateError(ServiceError):
    """The job is not in a state in which that can be done."""

    reason = "JOB_STATE"


class StoreUnavailableError(ServiceUnavailableError):
    """The object store does not answer or takes nothing."""

    reason = "STORE_UNAVAILABLE"


class QueueUnavailableError(ServiceUnavailableError):
    """Redis does not answer; jobs that were accepted wait for it."""

    reason = "QUEUE_UNAVAILABLE"
