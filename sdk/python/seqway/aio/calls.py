"""How methods are called over a connection."""

import asyncio
from collections.abc import Iterator

import grpc

from seqway.aio.channel import AsyncChannel, AsyncResponses
from seqway.aio.streams import AsyncStream
from seqway.transport.channel_options import resolve_address
from seqway.transport.method import Method, Request, Response, Result
from seqway.transport.retries import Patience
from seqway.transport.security import Access, resolve_tls
from seqway.transport.status import error_of
from seqway.transport.tracing import StreamSpan, unary_span
from seqway.transport.uploads import UploadedMessages


class AsyncCalls:
    """Calls of one server on one connection; `timeout` holds for calls without their own."""

    def __init__(
        self, address: str | None, timeout: float, access: Access, *, retry_overloaded: bool
    ) -> None:
        self.address = resolve_address(address)
        self._timeout = timeout
        self._retry_overloaded = retry_overloaded
        credentials = resolve_tls(access.tls)
        self._metadata = access.metadata(self.address, encrypted=credentials is not None)
        self._channel = AsyncChannel(self.address, credentials)

    async def unary(
        self,
        method: Method[Request, Response, Result],
        request: Request,
        timeout: float | None = None,
    ) -> Result:
        """One request, one response; a subclass of `SeqwayError` when it fails.

        While the server has no room for the call, waits and sends it again, until its timeout.
        """
        call = self._channel.unary(method)
        data = method.serialize(request)
        patience = self._patience(timeout)
        while True:
            try:
                with unary_span(method.path, self.address, self._metadata) as metadata:
                    response = await call(data, timeout=patience.remaining(), metadata=metadata)
                return method.result(response)
            except grpc.RpcError as failure:
                error = error_of(failure)
            await asyncio.sleep(patience.pause_after(error))

    def stream(
        self,
        method: Method[Request, Response, Result],
        request: Request,
        timeout: float | None = None,
    ) -> AsyncStream[Result]:
        """One request, many responses, until the timeout."""
        return AsyncStream(
            lambda remaining: self.open(method, request, remaining),
            method.result,
            self._patience(timeout),
        )

    def open(
        self, method: Method[Request, Response, Result], request: Request, timeout: float | None
    ) -> AsyncResponses[Response]:
        """The responses as they come from the server; without a timeout when it is None."""
        data = method.serialize(request)
        span = StreamSpan(method.path, self.address, self._metadata)
        return self._channel.stream(method, data, timeout, span)

    async def upload(
        self,
        method: Method[Request, Response, Result],
        messages: Iterator[bytes],
        timeout: float | None,
    ) -> Result:
        """Serialized requests, one response.  Raises what iterating over `messages` raises."""
        call = self._channel.upload(method)
        uploaded = UploadedMessages(messages)
        try:
            with unary_span(method.path, self.address, self._metadata) as metadata:
                response = await call(uploaded, timeout=timeout, metadata=metadata)
            return method.result(response)
        except BaseException as failure:
            if uploaded.failure is not None:
                raise uploaded.failure from None
            if isinstance(failure, grpc.RpcError):
                raise error_of(failure) from None
            raise

    async def close(self) -> None:
        """Ends all calls and frees the connection."""
        await self._channel.close()

    def _patience(self, timeout: float | None) -> Patience:
        seconds = self._timeout if timeout is None else timeout
        return Patience(seconds, waits=self._retry_overloaded)
