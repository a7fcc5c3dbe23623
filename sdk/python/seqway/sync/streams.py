# Generated from ../aio/streams.py by `make client`.

"""A running streaming call as an iterator of events."""

from collections.abc import Callable, Iterator
from typing import Any, Generic, Self, TypeVar

from seqway.errors import SeqwayError
from seqway.events import StreamEvent, StreamSummary, SummarizeEvent, SummaryDelta, TextDelta
from seqway.sync.channel import Cancellation, Responses
from seqway.transport.method import Response
from seqway.transport.retries import Patience
from seqway.transport.status import cancelled_here

Event = TypeVar("Event")

_DELTAS = (TextDelta, SummaryDelta)


class Stream(Generic[Event]):
    """Iterates over the events of a call as they come; `text()` gives the text alone.

    `summary` is set when the stream has ended.  Leaving a `with` block (`async with` in asyncio),
    or `cancel()`, ends the call at the server too.  A call that the server has no room for is sent
    again until its timeout, but never once something has come.  Iterating raises `SeqwayError`.
    """

    def __init__(
        self,
        open_call: Callable[[float | None], Responses[Response]],
        event_of: Callable[[Response], Event],
        patience: Patience,
    ) -> None:
        self._open: Callable[[float | None], Responses[Any]] = open_call
        self._event_of: Callable[[Any], Event] = event_of
        self._patience: Patience | None = patience
        self._cancelled = Cancellation()
        self._responses = open_call(patience.remaining())
        self.summary: StreamSummary | None = None

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        while True:
            try:
                response = next(self._responses)
                break
            except SeqwayError as failure:
                error = failure
            self._send_again(error)
        self._patience = None
        try:
            event = self._event_of(response)
        except SeqwayError:
            self.cancel()
            raise
        if isinstance(event, StreamSummary):
            self.summary = event
        return event

    def _send_again(self, error: SeqwayError) -> None:
        """Opens the call again when the server has had time; raises the error otherwise."""
        patience = self._patience
        if patience is None:
            raise error
        if self._cancelled.wait(patience.pause_after(error)):
            raise cancelled_here()
        self._responses = self._open(patience.remaining())
        if self._cancelled.is_set():  # meanwhile, by another thread
            self._responses.cancel()

    def text(self) -> Iterator[str]:
        """The pieces of the answer, of a call that holds one text."""
        for event in self:
            if isinstance(event, _DELTAS):
                yield event.text

    def cancel(self) -> None:
        """Ends the call; nothing happens when it has ended already."""
        self._cancelled.set()
        self._responses.cancel()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.cancel()


TranslationStream = Stream[StreamEvent]
SummaryStream = Stream[SummarizeEvent]
