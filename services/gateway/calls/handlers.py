"""The handlers of gRPC's methods, taken apart to be wrapped, and how they get their requests."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias, cast

import grpc
from google.protobuf.message import DecodeError

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Behaviour: TypeAlias = Callable[[Any, Context], Awaitable[Any]]
Deserializer: TypeAlias = Callable[[bytes], Any]

LATE: Any = object()
"""In place of a message that was not complete in time."""
SETTLE_SECONDS = 0.1
"""grpc.aio reports a cancelled call first as if its stream had ended, and within this time that it
was cancelled."""


def parts_of(handler: Handler) -> tuple[Callable[..., Handler], Behaviour]:
    """How to make a handler of this kind that reads its request, and what it calls.

    The stubs type the blocking server.
    """
    if handler.request_streaming:
        return grpc.stream_unary_rpc_method_handler, cast(Behaviour, handler.stream_unary)
    if handler.response_streaming:
        return grpc.stream_stream_rpc_method_handler, cast(Behaviour, handler.unary_stream)
    return grpc.stream_unary_rpc_method_handler, cast(Behaviour, handler.unary_unary)


def tolerant(deserialize: Deserializer | None) -> Deserializer:
    """Gives None for malformed bytes, for which gRPC would answer UNKNOWN with a Python error."""
    assert deserialize is not None

    def parse(data: bytes) -> Any:
        try:
            return deserialize(data)
        except DecodeError:
            return None

    return parse


def awaiting_message(behaviour: Behaviour, seconds: float) -> Behaviour:
    """A behaviour for a stream of requests that calls this one with the first message.

    gRPC would wait for that as long as the connection lasts.  Instead of the message it may be
    LATE, or None when the caller sent none.
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
