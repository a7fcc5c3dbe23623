"""A running streaming call as an iterator of events."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Generic, Protocol, Self, TypeVar

import grpc

from seqway.errors import CancelledError, SeqwayError
from seqway.events import StreamEvent, StreamSummary, SummarizeEvent, SummaryDelta, TextDelta
from seqway.transport.patience import Patience
from seqway.transport.status import error_of

if TYPE_CHECKING:
    from grpc.aio import UnaryStreamCall

Event = TypeVar("Event")
Response = TypeVar("Response")
Response_co = TypeVar("Response_co", covariant=True)

_DELTAS = (TextDelta, SummaryDelta)


class SyncCall(Protocol[Response_co]):
    """What is used of a sync streaming call of gRPC."""

    def __next__(self) -> Response_co:
        """The next message, as soon as it has come."""

    def cancel(self) -> bool:
        """Ends the call."""


class Stream(Generic[Event]):
    """Iterates over the events of a call as they come; `text()` gives the text alone.

    `summary` is set when the stream has come to its end.  Leaving a `with` block, or `cancel()`,
    ends the call at the server too.  A server that has no room for the call is asked again, until
    the timeout; once something has come, never.
    """

    def __init__(
        self,
        open_call: Callable[[float | None], SyncCall[Response]],
        event_of: Callable[[Response], Event],
        patience: Patience,
    ) -> None:
        self._open: Callable[[float | None], SyncCall[Any]] = open_call
        self._event_of: Callable[[Any], Event] = event_of
        self._patience: Patience | None = patience
        self._cancelled = threading.Event()
        self._call = open_call(patience.remaining())
        self.summary: StreamSummary | None = None

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        while True:
            try:
                event = self._event_of(next(self._call))
                break
            except grpc.RpcError as failure:
                error = error_of(failure)
            except BaseException:
                # An interrupt, or an event that can't be read; nothing happens at the end.
                self._call.cancel()
                raise
            self._ask_again(error)
        self._patience = None
        if isinstance(event, StreamSummary):
            self.summary = event
        return event

    def _ask_again(self, error: SeqwayError) -> None:
        """Opens the call again when the server has had time; raises the error else."""
        patience = self._patience
        if patience is None:
            raise error
        if self._cancelled.wait(patience.pause_after(error)):
            raise _cancelled()
        self._call = self._open(patience.remaining())
        if self._cancelled.is_set():  # meanwhile, by another thread
            self._call.cancel()

    def text(self) -> Iterator[str]:
        """The pieces of the answer, of a call that holds one text."""
        return (event.text for event in self if isinstance(event, _DELTAS))

    def cancel(self) -> None:
        """Ends the call; nothing happens when it has ended already."""
        self._cancelled.set()
        self._call.cancel()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.cancel()


class AsyncStream(Generic[Event]):
    """`Stream` for asyncio."""

    def __init__(
        self,
        open_call: "Callable[[float | None], UnaryStreamCall[bytes, Response]]",
        event_of: Callable[[Response], Event],
        patience: Patience,
    ) -> None:
        self._open: Callable[[float | None], UnaryStreamCall[bytes, Any]] = open_call
        self._event_of: Callable[[Any], Event] = event_of
        self._patience: Patience | None = patience
        self._cancelled = asyncio.Event()
        self._call = self._open(patience.remaining())
        self._responses = aiter(self._call)
        self.summary: StreamSummary | None = None

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        while True:
            try:
                event = self._event_of(await anext(self._responses))
                break
            except grpc.RpcError as failure:
                error = error_of(failure)
            except BaseException:
                self._call.cancel()
                raise
            await self._ask_again(error)
        self._patience = None
        if isinstance(event, StreamSummary):
            self.summary = event
        return event

    async def _ask_again(self, error: SeqwayError) -> None:
        """See `Stream._ask_again`."""
        patience = self._patience
        if patience is None:
            raise error
        pause = patience.pause_after(error)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._cancelled.wait(), pause)
            raise _cancelled()
        self._call = self._open(patience.remaining())
        self._responses = aiter(self._call)

    async def text(self) -> AsyncIterator[str]:
        """The pieces of the answer, of a call that holds one text."""
        async for event in self:
            if isinstance(event, _DELTAS):
                yield event.text

    def cancel(self) -> None:
        """Ends the call; nothing happens when it has ended already."""
        self._cancelled.set()
        self._call.cancel()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.cancel()


def _cancelled() -> CancelledError:
    return CancelledError("the call was cancelled", reason="CANCELLED")


TranslationStream = Stream[StreamEvent]
SummaryStream = Stream[SummarizeEvent]
AsyncTranslationStream = AsyncStream[StreamEvent]
AsyncSummaryStream = AsyncStream[SummarizeEvent]
