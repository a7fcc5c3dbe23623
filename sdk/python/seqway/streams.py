"""A running streaming call as an iterator of events."""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Any, Generic, Protocol, Self, TypeVar

import grpc

from seqway.events import StreamEvent, StreamSummary, SummarizeEvent, SummaryDelta, TextDelta
from seqway.status import error_of

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
    ends the call at the server too.
    """

    def __init__(self, call: SyncCall[Response], event_of: Callable[[Response], Event]) -> None:
        self._call: SyncCall[Any] = call
        self._event_of: Callable[[Any], Event] = event_of
        self.summary: StreamSummary | None = None

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        try:
            event = self._event_of(next(self._call))
        except grpc.RpcError as failure:
            raise error_of(failure) from None
        except BaseException:
            self._call.cancel()  # an interrupt, or an event that can't be read; no-op at the end
            raise
        if isinstance(event, StreamSummary):
            self.summary = event
        return event

    def text(self) -> Iterator[str]:
        """The pieces of the answer, of a call that holds one text."""
        return (event.text for event in self if isinstance(event, _DELTAS))

    def cancel(self) -> None:
        """Ends the call; nothing happens when it has ended already."""
        self._call.cancel()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.cancel()


class AsyncStream(Generic[Event]):
    """`Stream` for asyncio."""

    def __init__(
        self, call: "UnaryStreamCall[bytes, Response]", event_of: Callable[[Response], Event]
    ) -> None:
        self._call: UnaryStreamCall[bytes, Any] = call
        self._event_of: Callable[[Any], Event] = event_of
        self._responses = aiter(call)
        self.summary: StreamSummary | None = None

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        try:
            event = self._event_of(await anext(self._responses))
        except grpc.RpcError as failure:
            raise error_of(failure) from None
        except BaseException:
            self._call.cancel()
            raise
        if isinstance(event, StreamSummary):
            self.summary = event
        return event

    async def text(self) -> AsyncIterator[str]:
        """The pieces of the answer, of a call that holds one text."""
        async for event in self:
            if isinstance(event, _DELTAS):
                yield event.text

    def cancel(self) -> None:
        """Ends the call; nothing happens when it has ended already."""
        self._call.cancel()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.cancel()


TranslationStream = Stream[StreamEvent]
SummaryStream = Stream[SummarizeEvent]
AsyncTranslationStream = AsyncStream[StreamEvent]
AsyncSummaryStream = AsyncStream[SummarizeEvent]
