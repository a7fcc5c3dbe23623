"""How long a call may take."""

import asyncio
from typing import Any

import grpc

from services.inference.errors import DeadlineError
from services.inference.settings import InferenceSettings


def deadline_of(
    context: "grpc.aio.ServicerContext[Any, Any]", settings: InferenceSettings
) -> float:
    """When the call must be done, on the event loop's clock, with the margin taken off.

    DeadlineError when that leaves no time to begin.
    """
    remaining = context.time_remaining()
    allowed = settings.default_deadline
    if remaining is not None:
        allowed = remaining - settings.deadline_margin
    if allowed <= 0:
        raise DeadlineError("the deadline leaves no time to begin")
    return asyncio.get_running_loop().time() + allowed
