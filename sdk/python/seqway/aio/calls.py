"""A connection and how methods are called over it: blocking, and for asyncio."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import grpc
import grpc.aio

from seqway.aio.streams import AsyncStream, Stream
from seqway.transport.channel_options import channel_options, resolve_address
from seqway.transport.method import CallArguments, Method, Request, Response, Result
from seqway.transport.patience import Patience
from seqway.transport.security import Access, resolve_tls
from seqway.transport.status import error_of
from seqway.transport.tracing import StreamSpan, unary_span


class _Connection:
    def __init__(
        self,
        address: str | None,
        timeout: float,
        access: Access,
        *,
        retry_overloaded: bool = True,
    ) -> None:
        self.address = resolve_address(address)
        self._retry_overloaded = retry_overloaded
        self._credentials = resolve_tls(access.tls)
        self._timeout = timeout
        encrypted = self._credentials is not None
        self._metadata = access.metadata(self.address, encrypted=encrypted)

    def _deadline(self, arguments: CallArguments) -> float:
        timeout = arguments.get("timeout")
        return self._timeout if timeout is None else timeout

    def _patience(self, arguments: CallArguments) -> Patience:
        return Patience(self._deadline(arguments), waits=self._retry_overloaded)


class Calls(_Connection):
    """Blocking calls; safe to share between threads."""

    def __init__(
        self,
        address: str | None,
        timeout: float,
        access: Access,
        *,
        retry_overloaded: bool = True,
    ) -> None:
        super().__init__(address, timeout, access, retry_overloaded=retry_overloaded)
        options = channel_options(self.address)
        self._channel = (
            grpc.insecure_channel(self.address, options=options)
            if self._credentials is None
            else grpc.secure_channel(self.address, self._credentials, options=options)
        )

    def unary(
        self, method: Method[Request, Response, Result], request: Request, arguments: CallArguments
    ) -> Result:
        """One request, one response; a subclass of `SeqwayError` when it fails.

        Waits and asks again while the server has no room for the call, until its timeout.
        """
        call: grpc.UnaryUnaryMultiCallable[bytes, Response] = self._channel.unary_unary(
            method.path, response_deserializer=method.response.FromString
        )
        data = method.serialize(request)
        patience = self._patience(arguments)
        while True:
            try:
                with unary_span(method.path, self.address, self._metadata) as metadata:
                    response = call(data, timeout=patience.remaining(), metadata=metadata)
                return method.result(response)
            except grpc.RpcError as failure:
                error = error_of(failure)
            time.sleep(patience.pause_after(error))

    def stream(
        self, method: Method[Request, Response, Result], request: Request, arguments: CallArguments
    ) -> Stream[Result]:
        """A stream of responses that ends within the client's timeout."""
        return Stream(
            lambda timeout: self.open(method, request, timeout),
            method.result,
            self._patience(arguments),
        )

    def open(
        self, method: Method[Request, Response, Result], request: Request, timeout: float | None
    ) -> Any:
        """A stream of responses as gRPC gives it."""
        call: grpc.UnaryStreamMultiCallable[bytes, Response] = self._channel.unary_stream(
            method.path, response_deserializer=method.response.FromString
        )
        data = method.serialize(request)
        span = StreamSpan(method.path, self.address, self._metadata)
        responses = call(data, timeout=timeout, metadata=span.metadata)
        span.follow(responses)
        return responses

    def upload(
        self,
        method: Method[Request, Response, Result],
        requests: Iterator[bytes],
        timeout: float | None,
    ) -> Result:
        """Serialized requests, one response.  What `requests` raises is raised here."""
        call: grpc.StreamUnaryMultiCallable[bytes, Response] = self._channel.stream_unary(
            method.path, response_deserializer=method.response.FromString
        )
        upload = _Upload(requests)
        try:
            with unary_span(method.path, self.address, self._metadata) as metadata:
                response = call(upload, timeout=timeout, metadata=metadata)
            return method.result(response)
        except grpc.RpcError as failure:
            if upload.failure is not None:
                raise upload.failure from None
            raise error_of(failure) from None

    def close(self) -> None:
        """Ends all calls and frees the connection."""
        self._channel.close()


class AsyncCalls(_Connection):
    """`Calls` for asyncio."""

    def __init__(
        self,
        address: str | None,
        timeout: float,
        access: Access,
        *,
        retry_overloaded: bool = True,
    ) -> None:
        super().__init__(address, timeout, access, retry_overloaded=retry_overloaded)
        self._open: tuple[asyncio.AbstractEventLoop, grpc.aio.Channel] | None = None

    @property
    def _channel(self) -> grpc.aio.Channel:
        """That of the event loop that runs: it is made when it is first used there."""
        loop = asyncio.get_running_loop()
        if self._open is None or self._open[0] is not loop:
            options = channel_options(self.address)
            channel = (
                grpc.aio.insecure_channel(self.address, options=options)
                if self._credentials is None
                else grpc.aio.secure_channel(self.address, self._credentials, options=options)
            )
            self._open = loop, channel
        return self._open[1]

    async def unary(
        self, method: Method[Request, Response, Result], request: Request, arguments: CallArguments
    ) -> Result:
        """See `Calls.unary`."""
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, Response] = self._channel.unary_unary(
            method.path, response_deserializer=method.response.FromString
        )
        data = method.serialize(request)
        patience = self._patience(arguments)
        while True:
            try:
                with unary_span(method.path, self.address, self._metadata) as metadata:
                    response = await call(data, timeout=patience.remaining(), metadata=metadata)
                return method.result(response)
            except grpc.RpcError as failure:
                error = error_of(failure)
            await asyncio.sleep(patience.pause_after(error))

    def stream(
        self, method: Method[Request, Response, Result], request: Request, arguments: CallArguments
    ) -> AsyncStream[Result]:
        """See `Calls.stream`."""
        return AsyncStream(
            lambda timeout: self.open(method, request, timeout),
            method.result,
            self._patience(arguments),
        )

    def open(
        self, method: Method[Request, Response, Result], request: Request, timeout: float | None
    ) -> "grpc.aio.UnaryStreamCall[bytes, Response]":
        """See `Calls.open`."""
        call: grpc.aio.UnaryStreamMultiCallable[bytes, Response] = self._channel.unary_stream(
            method.path, response_deserializer=method.response.FromString
        )
        data = method.serialize(request)
        span = StreamSpan(method.path, self.address, self._metadata)
        responses = call(data, timeout=timeout, metadata=span.metadata)
        span.follow_async(responses)
        return responses

    async def upload(
        self,
        method: Method[Request, Response, Result],
        requests: Iterator[bytes],
        timeout: float | None,  # noqa: ASYNC109 - it goes to the server, too
    ) -> Result:
        """See `Calls.upload`; reading a file blocks the loop for a moment at a time."""
        call: grpc.aio.StreamUnaryMultiCallable[bytes, Response] = self._channel.stream_unary(
            method.path, response_deserializer=method.response.FromString
        )
        upload = _Upload(requests)
        try:
            with unary_span(method.path, self.address, self._metadata) as metadata:
                response = await call(upload, timeout=timeout, metadata=metadata)
            return method.result(response)
        except grpc.RpcError as failure:
            if upload.failure is not None:
                raise upload.failure from None
            raise error_of(failure) from None

    async def close(self) -> None:
        """See `Calls.close`."""
        if self._open is not None and self._open[0] is asyncio.get_running_loop():
            await self._open[1].close()
        self._open = None


class _Upload(Iterator[bytes]):
    """Keeps what the caller's lines raise: gRPC would only say that the call was cancelled."""

    def __init__(self, requests: Iterator[bytes]) -> None:
        self._requests = requests
        self.failure: Exception | None = None

    def __next__(self) -> bytes:
        try:
            return next(self._requests)
        except StopIteration:
            raise
        except Exception as error:
            self.failure = error
            raise
