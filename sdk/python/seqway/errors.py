"""What can go wrong, as exceptions.

SeqwayError                  any failure of a call: its reason, message and violations
├── InvalidRequestError      the request can't be served as it is; `field` says what to change
├── NotFoundError            no such model, or no model for the language pair
├── AuthenticationError      the server doesn't know the caller, or doesn't let it in
├── OverloadedError          no more work taken now; `retry_after` says when to ask again
├── UnavailableError         no server answers, or it has no model ready
├── DeadlineError            the answer was not ready in time
├── CancelledError           the call was cancelled
└── ServerError              the server failed, or answers something that this client can't read
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """What is wrong with one field of the request, such as `contents[2]`."""

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
    """The request can't be served as it is."""

    @property
    def field(self) -> str | None:
        """The first field that is wrong, where the server names one."""
        return self.violations[0].field if self.violations else None


class NotFoundError(SeqwayError):
    """No such model."""


class AuthenticationError(SeqwayError):
    """The server doesn't know the caller, or doesn't let it in."""


class OverloadedError(SeqwayError):
    """The server refuses more work now; `retry_after` holds seconds, where it says how long."""


class UnavailableError(SeqwayError):
    """No server answers at the address, or it has no model ready."""


class DeadlineError(SeqwayError):
    """The answer was not ready before the timeout."""


class CancelledError(SeqwayError):
    """The call was cancelled before its end."""


class ServerError(SeqwayError):
    """The server failed, or doesn't know the call."""
