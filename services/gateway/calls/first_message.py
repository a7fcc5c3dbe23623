"""The one message of a request, which gRPC would wait for as long as the connection lasts."""

import asyncio
from typing import Any

import grpc

from services.gateway.calls.handlers import Behaviour, Context

LATE: Any = object()
"""In place of a message that was not complete in time."""

SETTLE_SECONDS = 0.1
"""grpc.aio reports a cancelled call first as if its stream had ended, and within this time that it
was cancelled."""


def awaiting_message(behaviour: Behaviour, seconds: float) -> Behaviour:
    """A behaviour for a stream of requests that calls this one with the first of them.

    Instead of the message it may be LATE, or None when the caller sent none.
    """

    async def call(_messages: Any, context: Context) -> Any:
        return await behaviour(await _message(context, seconds), context)

    return call


async def _message(context: Context, seconds: float) -> Any:
    try:
        async with asyncio.timeout(seconds):
            message = await context.read()
    except TimeoutError:
        return LATE
    if message is grpc.aio.EOF:
        await asyncio.sleep(SETTLE_SECONDS)
        return None
    return message
