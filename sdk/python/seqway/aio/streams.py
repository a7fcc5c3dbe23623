"""A running streaming call as an iterator of events."""

from collections.abc import AsyncIterator, Callable
from typing import Any, Generic, Self, TypeVar

from seqway.aio.channel import AsyncCancellation, AsyncResponses
from seqway.errors import SeqwayError
from seqway.events import StreamEvent, StreamSummary, SummarizeEvent, SummaryDelta, TextDelta
from seqway.transport.method import Response
from seqway.transport.retries import Patience
from seqway.transport.status import cancelled_here

Event = TypeVar("Event")

_DELTAS = (TextDelta, SummaryDelta)


class AsyncStream(Generic[Event]):
    """Iterates over the events of a call as they come; `text()` gives the text alone.

    `summary` is set when the stream has ended.  Leaving a `with` block (`async with` in asyncio),
    or `cancel()`, ends the call at the server too.  A call that the server has no room for is sent
    again until its timeout, but never once something has come.  Iterating raises `SeqwayError`.
    """

    def __init__(
        self,
        open_call: Callable[[float | None], AsyncResponses[Response]],
        event_of: Callable[[Response], Event],
        patience: Patience,
    ) -> None:
        self._open: Callable[[float | None], AsyncResponses[Any]] = open_call
        self._event_of: Callable[[Any], Event] = event_of
        self._patience: Patience | None = patience
        self._cancelled = AsyncCancellation()
        self._responses = open_call(patience.remaining())
        self.summary: StreamSummary | None = None

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        while True:
            try:
                response = await anext(self._responses)
                break
            except SeqwayError as failure:
                error = failure
            await self._send_again(error)
        self._patience = None
        try:
            event = self._event_of(response)
        except SeqwayError:
            self.cancel()
            raise
        if isinstance(event, StreamSummary):
            self.summary = event
        return event

    async def _send_again(self, error: SeqwayError) -> None:
        """Opens the call again when the server has had time; raises the error otherwise."""
        patience = self._patience
        if patience is None:
            raise error
        if await self._cancelled.wait(patience.pause_after(error)):
            raise cancelled_here()
        self._responses = self._open(patience.remaining())
        if self._cancelled.is_set():  # meanwhile, by another thread
            self._responses.cancel()

    async def text(self) -> AsyncIterator[str]:
        """The pieces of the answer, of a call that holds one text."""
        async for event in self:
            if isinstance(event, _DELTAS):
                yield event.text

    def cancel(self) -> None:
        """Ends the call; nothing happens when it has ended already."""
        self._cancelled.set()
        self._responses.cancel()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.cancel()


AsyncTranslationStream = AsyncStream[StreamEvent]
AsyncSummaryStream = AsyncStream[SummarizeEvent]
