"""How long a call waits that an overloaded server has refused, before it is sent again."""

import random
import time

from seqway.errors import OverloadedError, SeqwayError

_OVERLOADED = "OVERLOADED"
# The callers that were refused together must not come back together.
_MOST_JITTER = 0.5
# With less time than this a call that is sent again would only be too late.
_LEAST_SECONDS = 0.1


class Patience:
    """Waits as long as the server asks for, within the timeout of the call.

    Only a refusal for want of room is waited for, since no work was done for it.  A tenant at one
    of its own limits (QUOTA_EXCEEDED) is told at once.
    """

    def __init__(self, timeout: float | None, *, waits: bool) -> None:
        self._end = None if timeout is None else time.monotonic() + timeout
        self._waits = waits

    def remaining(self) -> float | None:
        """Seconds until the timeout, never less than a millisecond; None when there is none."""
        return None if self._end is None else max(self._end - time.monotonic(), 0.001)

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
