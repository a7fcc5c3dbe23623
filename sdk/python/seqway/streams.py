"""A running streaming call as an iterator of events."""

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Protocol, Self

import grpc

from seqway.events import StreamEvent, StreamSummary, TextDelta
from seqway.messages import stream_event
from seqway.status import error_of
from seqway.v1.translation_pb2 import StreamTranslateRequest, StreamTranslateResponse

if TYPE_CHECKING:
    from grpc.aio import UnaryStreamCall

    AsyncCall = UnaryStreamCall[StreamTranslateRequest, StreamTranslateResponse]


class SyncCall(Protocol):
    """What is used of a sync streaming call of gRPC."""

    def __next__(self) -> StreamTranslateResponse:
        """The next message, as soon as it has come."""

    def cancel(self) -> bool:
        """Ends the call."""


class TranslationStream:
    """Iterates over the events of a call as they come; `text()` gives the text alone.

    `summary` is set when the stream has come to its end.  Leaving a `with` block, or `cancel()`,
    ends the call at the server too.
    """

    def __init__(self, call: SyncCall) -> None:
        self._call = call
        self.summary: StreamSummary | None = None

    def __iter__(self) -> Iterator[StreamEvent]:
        return self

    def __next__(self) -> StreamEvent:
        try:
            event = stream_event(next(self._call))
        except grpc.RpcError as failure:
            raise error_of(failure) from None
        except BaseException:
            self._call.cancel()  # an interrupt, or an event that can't be read; no-op at the end
            raise
        if isinstance(event, StreamSummary):
            self.summary = event
        return event

    def text(self) -> Iterator[str]:
        """The pieces of the translation, of a call that holds one text."""
        return (event.text for event in self if isinstance(event, TextDelta))

    def cancel(self) -> None:
        """Ends the call; nothing happens when it has ended already."""
        self._call.cancel()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.cancel()


class AsyncTranslationStream:
    """`TranslationStream` for asyncio."""

    def __init__(self, call: "AsyncCall") -> None:
        self._call = call
        self._responses = aiter(call)
        self.summary: StreamSummary | None = None

    def __aiter__(self) -> AsyncIterator[StreamEvent]:
        return self

    async def __anext__(self) -> StreamEvent:
        try:
            event = stream_event(await anext(self._responses))
        except grpc.RpcError as failure:
            raise error_of(failure) from None
        except BaseException:
            self._call.cancel()
            raise
        if isinstance(event, StreamSummary):
            self.summary = event
        return event

    async def text(self) -> AsyncIterator[str]:
        """The pieces of the translation, of a call that holds one text."""
        async for event in self:
            if isinstance(event, TextDelta):
                yield event.text

    def cancel(self) -> None:
        """Ends the call; nothing happens when it has ended already."""
        self._call.cancel()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.cancel()
