"""The failures of calls, as exceptions.

SeqwayError                  any failure of a call: its reason, message and violations
├── InvalidRequestError      the request is invalid; `field` names what to change
├── NotFoundError            no such model or job, or no model for the language pair
├── AuthenticationError      the caller is not authenticated, or lacks permission
├── OverloadedError          the server has no capacity now; `retry_after` says when to retry
├── UnavailableError         no server answers, or it has no model ready
├── DeadlineError            the timeout passed
├── CancelledError           the call was cancelled
└── ServerError              the server failed, or its answer can't be read by this client
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """The problem with one field of the request, such as `contents[2]`."""

    field: str
    description: str


class SeqwayError(Exception):
    """A call failed.

    `reason` is the server's UPPER_SNAKE reason, or the name of the gRPC status when the server sent
    none (`domain` is empty then); `message` is a sentence for people; `metadata` holds the values
    that belong to the reason.
    """

    def __init__(
        self,
        message: str,
        *,
        reason: str = "",
        domain: str = "",
        violations: tuple[FieldViolation, ...] = (),
        retry_after: float | None = None,
        metadata: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason
        self.domain = domain
        self.violations = violations
        self.retry_after = retry_after
        self.metadata = metadata or {}


class InvalidRequestError(SeqwayError):
    """The request is invalid."""

    @property
    def field(self) -> str | None:
        """The first field that is wrong, where the server names one."""
        return self.violations[0].field if self.violations else None


class NotFoundError(SeqwayError):
    """No such model or job, or no model for the language pair."""


class AuthenticationError(SeqwayError):
    """The caller is not authenticated, or lacks permission."""


class OverloadedError(SeqwayError):
    """The server has no capacity now; `retry_after` holds seconds, where the server sends them."""


class UnavailableError(SeqwayError):
    """No server answers at the address, or it has no model ready."""


class DeadlineError(SeqwayError):
    """The timeout passed before the call ended."""


class CancelledError(SeqwayError):
    """The call was cancelled before its end."""


class ServerError(SeqwayError):
    """The server failed, does not offer the call, or sent what this client can't read."""
