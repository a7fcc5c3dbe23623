"""How long a call may take."""

import asyncio
from typing import ClassVar

from services.gateway.calls.handlers import Context
from services.gateway.calls.settings import CallSettings
from services.inference.errors import DeadlineExceededError, ServiceUnavailableError


class StreamEndedError(ServiceUnavailableError):
    """A stream has reached its time limit: nothing failed, and another one goes on."""

    reason: ClassVar[str] = "STREAM_ENDED"


def seconds_of(context: Context, settings: CallSettings) -> float:
    """For how long a call may run; bounded whatever its caller asks for."""
    remaining = context.time_remaining()
    if remaining is None:
        return settings.default_deadline
    return min(remaining, settings.longest_deadline)


def deadline_of(context: Context, settings: CallSettings) -> float:
    """When the call must be done, on the event loop's clock, with the margin taken off.

    DeadlineExceededError when that leaves no time to begin.
    """
    allowed = seconds_of(context, settings)
    if context.time_remaining() is not None:
        allowed -= settings.deadline_margin
    if allowed <= 0:
        raise DeadlineExceededError("the deadline leaves no time to start")
    return asyncio.get_running_loop().time() + allowed
