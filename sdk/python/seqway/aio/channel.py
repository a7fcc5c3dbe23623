"""A connection for asyncio.  This file and its twin in `seqway.sync` are written by hand."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Generic

import grpc
import grpc.aio

from seqway.transport.channel_options import channel_options
from seqway.transport.method import Method, Request, Response
from seqway.transport.status import cancelled_here, error_of
from seqway.transport.tracing import StreamSpan

if TYPE_CHECKING:
    from grpc.aio import UnaryStreamCall


class AsyncChannel:
    """Connects to the event loop that runs when it is used; in another one, connects anew."""

    def __init__(self, address: str, credentials: grpc.ChannelCredentials | None) -> None:
        self._address = address
        self._credentials = credentials
        self._open: tuple[asyncio.AbstractEventLoop, grpc.aio.Channel] | None = None

    @property
    def _channel(self) -> grpc.aio.Channel:
        loop = asyncio.get_running_loop()
        if self._open is None or self._open[0] is not loop:
            options = channel_options(self._address)
            channel = (
                grpc.aio.insecure_channel(self._address, options=options)
                if self._credentials is None
                else grpc.aio.secure_channel(self._address, self._credentials, options=options)
            )
            self._open = loop, channel
        return self._open[1]

    def unary(
        self, method: Method[Request, Response, Any]
    ) -> "grpc.aio.UnaryUnaryMultiCallable[bytes, Response]":
        """One serialized request, one response."""
        return self._channel.unary_unary(
            method.path, response_deserializer=method.response.FromString
        )

    def upload(
        self, method: Method[Request, Response, Any]
    ) -> "grpc.aio.StreamUnaryMultiCallable[bytes, Response]":
        """Many requests, one response; reading a file blocks the loop for a moment at a time."""
        return self._channel.stream_unary(
            method.path, response_deserializer=method.response.FromString
        )

    def stream(
        self,
        method: Method[Request, Response, Any],
        data: bytes,
        timeout: float | None,
        span: StreamSpan,
    ) -> "AsyncResponses[Response]":
        """One serialized request, many responses; the call ends `span`."""
        call: grpc.aio.UnaryStreamMultiCallable[bytes, Response] = self._channel.unary_stream(
            method.path, response_deserializer=method.response.FromString
        )
        responses = call(data, timeout=timeout, metadata=span.metadata)
        span.follow_async(responses)
        return AsyncResponses(responses)

    async def close(self) -> None:
        """Ends all calls and frees the connection."""
        if self._open is not None and self._open[0] is asyncio.get_running_loop():
            await self._open[1].close()
        self._open = None


class AsyncResponses(Generic[Response]):
    """The responses of a call as they come.  Raises `SeqwayError`."""

    def __init__(self, call: "UnaryStreamCall[bytes, Response]") -> None:
        self._call = call
        self._responses = aiter(call)

    def __aiter__(self) -> AsyncIterator[Response]:
        return self

    async def __anext__(self) -> Response:
        try:
            return await anext(self._responses)
        except grpc.RpcError as failure:
            raise error_of(failure) from None
        except asyncio.CancelledError:
            # That of the task that waits here, or of this call alone?
            task = asyncio.current_task()
            if task is not None and not task.cancelling():
                raise cancelled_here() from None
            self._call.cancel()
            raise

    def cancel(self) -> None:
        """Ends the call; nothing happens when it has ended already."""
        self._call.cancel()


class AsyncCancellation:
    """Whether a stream was cancelled, to wait for."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self.set = self._event.set
        self.is_set = self._event.is_set

    async def wait(self, seconds: float) -> bool:
        """Waits for it, but no longer than this; whether the stream is cancelled."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._event.wait()
        return self.is_set()
