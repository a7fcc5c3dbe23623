"""Streams of a job that outlive a server: they go on where they broke."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Generic, Protocol, Self, TypeVar

import grpc

from seqway.aio.calls import AsyncCalls, Calls
from seqway.errors import CancelledError, SeqwayError, UnavailableError
from seqway.transport.method import Method
from seqway.transport.status import error_of
from seqway.v1 import job_pb2 as pb

Item = TypeVar("Item")
_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 5.0


class _Resumable(Protocol):
    """A request, and a response, of such a stream."""

    resume_token: str


class _Progress:
    """How far a stream has come, and how long to wait before it is opened again."""

    def __init__(self, request: Any, timeout: float | None, patience: float) -> None:
        self._request: _Resumable = request
        self._end = None if timeout is None else time.monotonic() + timeout
        self._patience = patience
        self._broken_since: float | None = None
        self._pause = _FIRST_PAUSE_SECONDS

    @property
    def token(self) -> str:
        return self._request.resume_token

    def remaining(self) -> float | None:
        """Seconds until the caller's timeout."""
        return None if self._end is None else max(self._end - time.monotonic(), 0.001)

    def came(self, response: _Resumable) -> None:
        self._request.resume_token = response.resume_token
        self._broken_since = None
        self._pause = _FIRST_PAUSE_SECONDS

    def pause_after(self, error: SeqwayError) -> float:
        """Seconds to wait; raises the error when waiting is of no use."""
        now = time.monotonic()
        if self._broken_since is None:
            self._broken_since = now
        if not _passes(error) or now - self._broken_since > self._patience:
            raise error
        pause, self._pause = self._pause, min(2 * self._pause, _LONGEST_PAUSE_SECONDS)
        pause = max(pause, error.retry_after or 0.0)
        remaining = self.remaining()
        return pause if remaining is None else min(pause, remaining)


def _passes(error: SeqwayError) -> bool:
    """Whether the server may take the stream a little later.

    One that stops may cancel what nobody here has cancelled.
    """
    return isinstance(error, UnavailableError | CancelledError) or error.reason == "OVERLOADED"


class JobStream(Generic[Item]):
    """Iterates over what a job gives, as it comes, and goes on when a server is replaced.

    `UnavailableError` is raised when no server has answered for as long as the client's patience.
    `resume_token` starts another stream behind the last message that was read whole.
    """

    def __init__(
        self,
        calls: Calls,
        method: Method[Any, Any, list[Item]],
        request: pb.WatchJobRequest | pb.ReadResultsRequest,
        timeout: float | None,
        patience: float,
    ) -> None:
        self._calls = calls
        self._method = method
        self._request = request
        self._progress = _Progress(request, timeout, patience)
        self._items: deque[Item] = deque()
        self._resume_token = request.resume_token
        self._call: Any = None
        self._cancelled = False

    @property
    def resume_token(self) -> str:
        """Goes on behind the last message that was read whole."""
        return self._progress.token if not self._items else self._resume_token

    def __iter__(self) -> Iterator[Item]:
        return self

    def __next__(self) -> Item:
        while not self._items:
            self._resume_token = self._progress.token
            self._receive()
        return self._items.popleft()

    def _receive(self) -> None:
        if self._cancelled:
            raise StopIteration
        if self._call is None:
            self._call = self._calls.open(self._method, self._request, self._progress.remaining())
        try:
            response = next(self._call)
        except grpc.RpcError as failure:
            self._call = None
            error = error_of(failure)
            if self._cancelled:
                raise StopIteration from None
            time.sleep(self._progress.pause_after(error))
            return
        except BaseException as end:  # an interrupt, or the end
            if not isinstance(end, StopIteration):
                self.cancel()
            raise
        self._items.extend(self._method.result(response))
        self._progress.came(response)

    def cancel(self) -> None:
        """Ends the stream; the job goes on."""
        self._cancelled = True
        if self._call is not None:
            self._call.cancel()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.cancel()


class AsyncJobStream(Generic[Item]):
    """`JobStream` for asyncio."""

    def __init__(
        self,
        calls: AsyncCalls,
        method: Method[Any, Any, list[Item]],
        request: pb.WatchJobRequest | pb.ReadResultsRequest,
        timeout: float | None,
        patience: float,
    ) -> None:
        self._open: Callable[[], Any] = lambda: calls.open(
            method, request, self._progress.remaining()
        )
        self._method = method
        self._progress = _Progress(request, timeout, patience)
        self._items: deque[Item] = deque()
        self._resume_token = request.resume_token
        self._call: Any = None
        self._responses: Any = None
        self._cancelled = False

    @property
    def resume_token(self) -> str:
        """See `JobStream.resume_token`."""
        return self._progress.token if not self._items else self._resume_token

    def __aiter__(self) -> AsyncIterator[Item]:
        return self

    async def __anext__(self) -> Item:
        while not self._items:
            self._resume_token = self._progress.token
            await self._receive()
        return self._items.popleft()

    async def _receive(self) -> None:
        if self._cancelled:
            raise StopAsyncIteration
        if self._call is None:
            self._call = self._open()
            self._responses = aiter(self._call)
        try:
            response = await anext(self._responses)
        except grpc.RpcError as failure:
            self._call = None
            error = error_of(failure)
            if self._cancelled:
                raise StopAsyncIteration from None
            await asyncio.sleep(self._progress.pause_after(error))
            return
        except BaseException as end:
            if not isinstance(end, StopAsyncIteration):
                self.cancel()
            if self._cancelled and not isinstance(end, asyncio.CancelledError):
                raise StopAsyncIteration from None
            raise
        self._items.extend(self._method.result(response))
        self._progress.came(response)

    def cancel(self) -> None:
        """See `JobStream.cancel`."""
        self._cancelled = True
        if self._call is not None:
            self._call.cancel()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.cancel()
