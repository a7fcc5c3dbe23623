"""How long a call waits that could not be served, before it is sent again."""

import random
import time

from seqway.errors import CancelledError, OverloadedError, SeqwayError, UnavailableError
from seqway.transport.method import ResumableMessage

_OVERLOADED = "OVERLOADED"
# Calls that were refused together must not come back together.
_MOST_JITTER = 0.5
# With less time than this a call that is sent again would only be too late.
_LEAST_SECONDS = 0.1

_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 5.0


class CallTimeout:
    """The time that a caller gives, which all attempts share."""

    def __init__(self, seconds: float | None) -> None:
        self._end = None if seconds is None else time.monotonic() + seconds

    def remaining(self) -> float | None:
        """Seconds until the timeout, never less than a millisecond; None when there is none."""
        return None if self._end is None else max(self._end - time.monotonic(), 0.001)


class Patience(CallTimeout):
    """Waits as long as an overloaded server asks for, within the timeout of the call.

    Only a call that was refused for want of room is sent again, since no work was done for it.  A
    tenant at one of its own limits (QUOTA_EXCEEDED) fails at once.
    """

    def __init__(self, timeout: float | None, *, waits: bool) -> None:
        super().__init__(timeout)
        self._waits = waits

    def pause_after(self, error: SeqwayError) -> float:
        """Seconds to wait before the call is sent again; raises the error when that is no use."""
        if not self._waits or not isinstance(error, OverloadedError):
            raise error
        if error.reason != _OVERLOADED or error.retry_after is None:
            raise error
        pause = error.retry_after * (1 + random.uniform(0, _MOST_JITTER))
        remaining = self.remaining()
        if remaining is not None and pause + _LEAST_SECONDS >= remaining:
            raise error
        return pause


class Reconnection(CallTimeout):
    """How far a stream of a job has come, and how long it waits before it is opened again.

    The pauses double from 0.2 s to 5 s; `patience` bounds the seconds without any answer.
    """

    def __init__(self, request: ResumableMessage, timeout: float | None, patience: float) -> None:
        super().__init__(timeout)
        self._request = request
        self._patience = patience
        self._broken_since: float | None = None
        self._pause = _FIRST_PAUSE_SECONDS

    @property
    def token(self) -> str:
        """Resumes behind the last message."""
        return self._request.resume_token

    def received(self, response: ResumableMessage) -> None:
        """Notes a message: the stream resumes behind it, and the server is there."""
        self._request.resume_token = response.resume_token
        self._broken_since = None
        self._pause = _FIRST_PAUSE_SECONDS

    def pause_after(self, error: SeqwayError) -> float:
        """Seconds to wait before the stream is opened again; raises the error when it is no use."""
        now = time.monotonic()
        if self._broken_since is None:
            self._broken_since = now
        if not _is_transient(error) or now - self._broken_since > self._patience:
            raise error
        pause, self._pause = self._pause, min(2 * self._pause, _LONGEST_PAUSE_SECONDS)
        pause = max(pause, error.retry_after or 0.0)
        remaining = self.remaining()
        return pause if remaining is None else min(pause, remaining)


def _is_transient(error: SeqwayError) -> bool:
    """Whether the server may take the stream a little later.

    A server that shuts down may cancel what this client has not cancelled.
    """
    return isinstance(error, UnavailableError | CancelledError) or error.reason == _OVERLOADED
