"""The one message of a request, which gRPC would wait for as long as the connection lasts."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import grpc

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Behaviour: TypeAlias = Callable[[Any, Context], Awaitable[Any]]

LATE: Any = object()
"""In place of a message that was not whole in time."""

# grpc.aio tells of a cancelled call first as if its stream had ended, and a moment later that it
# was cancelled.
_SETTLE_SECONDS = 0.1


def awaiting_message(
    behaviour: Behaviour, seconds: float, note: Callable[[Context], None]
) -> Behaviour:
    """A behaviour for a stream of requests that calls this one, for a message, with its message.

    `note` is called when the headers have come.  Instead of the message it may be LATE, or None
    when the caller sent none.
    """

    async def call(_messages: Any, context: Context) -> Any:
        note(context)
        return await behaviour(await _message(context, seconds), context)

    return call


async def _message(context: Context, seconds: float) -> Any:
    try:
        async with asyncio.timeout(seconds):
            message = await context.read()
    except TimeoutError:
        return LATE
    if message is grpc.aio.EOF:
        await asyncio.sleep(_SETTLE_SECONDS)
        return None
    return message
