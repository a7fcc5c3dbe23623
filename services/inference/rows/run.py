"""Runs the rows of one call through the engine: what all generating tasks share."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TypeVar

import msgspec

from engine.contract.events import Delta, End, FinishReason, RefusalReason, Refused, TooLong
from services.foundation.pools import Pool
from services.inference.errors import (
    DeadlineExceededError,
    InvalidOptionError,
    ModelFailedError,
    ModelNotReadyError,
    ServiceError,
)
from services.inference.rows.account import Account, ModelSpan
from services.inference.rows.engine import (
    TENANT,
    EngineSession,
    InferenceEngine,
    Lost,
    Reply,
    RowEvent,
)
from services.inference.rows.recovery import Recovery, Route, Transcript
from services.inference.rows.window import CallRow, RowWindow
from services.inference.settings import InferenceSettings

# The engine counts milliseconds on a clock of its own.
_CLOCK_SLACK = 0.25

_Answer = TypeVar("_Answer")
# They share one interpreter lock: more of them would cut no faster, and slow the event loop.
_THREADS = 2
_CUTTING = Pool("cut", _THREADS)


# Where the engine's options stand in a request, when not in options.<name>.
_FIELDS: Mapping[str, str] = {
    "": "options",
    "sample": "options.sampling",
    "temperature": "options.sampling.temperature",
    "top_k": "options.sampling.top_k",
    "top_p": "options.sampling.top_p",
    "seed": "options.sampling.seed",
    "source_language": "source_language_code",
    "target_language": "target_language_code",
}


def field_of(option: str) -> str:
    """The field of the caller's request that holds an option of the engine."""
    return _FIELDS.get(option, f"options.{option}")


class RowRunner:
    """Tells rows what the engine says about them, and keeps the account of the call."""

    def __init__(
        self,
        open_session: Callable[[str], EngineSession],
        route: Route,
        deadline: float,
        settings: InferenceSettings,
        span: ModelSpan,
    ) -> None:
        """`open_session` gives a session with a variant, and ends the one before."""
        self.account = Account(route.variant)
        self._open_session = open_session
        self._session = session = open_session(route.variant)
        self._route = route
        self._other = ""
        self._deadline = deadline
        self._retry_delay = settings.overload_retry_delay
        self._window = RowWindow(session, settings.max_segments_in_flight, span)
        self._recovery = Recovery(settings.triton_patience)
        self._transcripts: dict[CallRow, Transcript] = {}
        self._lost: set[str] = set()

    def add(self, rows: Iterable[CallRow]) -> None:
        """Adds rows, which the next step sends as there is room."""
        self._window.add(rows)

    async def add_cut(self, cut: Callable[[], Iterable[CallRow]]) -> None:
        """Adds the rows that `cut` makes of a text, which may take long."""
        self.add(await in_thread(cut))

    async def step(self) -> list[CallRow]:
        """Sends what there is room for, waits for news, and returns the rows that had some.

        Raises a ServiceError when the call has failed.
        """
        if self._other:
            self._move()
        await self._recovery.pause()
        self._window.fill()
        replies = await self._session.receive()
        return list(dict.fromkeys(row for reply in replies for row in self._take(reply)))

    def _take(self, reply: Reply) -> Iterator[CallRow]:
        for event in reply.events:
            if reply.request_id in self._lost:  # its rows are on their way again
                return
            row = self._apply(reply.request_id, event)
            if row is not None:
                yield row
        if reply.final and reply.request_id not in self._lost:
            self._window.close(reply.request_id)

    def _apply(self, request_id: str, event: RowEvent) -> CallRow | None:
        if isinstance(event, Delta):
            row = self._window.row(request_id, event.index)
            self._recovery.progress()
            row.append(self._transcripts.setdefault(row, Transcript()).add(event.text))
            self.account.note_token()
            return row
        if isinstance(event, End):
            return self._end(request_id, event)
        if isinstance(event, TooLong):
            row = self._window.row(request_id, event.index)
            self._window.settle(request_id, event.index)
            self._window.add_first(row.divide(event))
            return row
        if isinstance(event, Refused):
            self._refuse(request_id, event)
        if isinstance(event, Lost):
            self._send_again(request_id, event)
        return None

    def _send_again(self, request_id: str, lost: Lost) -> None:
        """Has the rows of a lost request wait for the next `fill`; raises when that is no use."""
        self._lost.add(request_id)
        rows = self._window.take_back(request_id)
        self._other = self._other or self._route.other(lost.error)
        self._recovery.lose(lost, rows, has_other=bool(self._other))
        self._add_again(rows)

    def _add_again(self, rows: list[CallRow]) -> None:
        for row in rows:
            if row not in self._transcripts:
                continue
            if row.begin_anew():
                del self._transcripts[row]
            else:
                self._transcripts[row].restart()
        self._window.add_first(rows)

    def _move(self) -> None:
        """Goes on with the other variant: rows of which nothing was read are run there as new ones.

        Of the others the caller has read the beginning.  The other variant is made to begin
        with the whole words of it, and its `Transcript` sees that the answer is the same up to
        where the caller stands.
        """
        variant, self._other = self._other, ""
        self._route.take(variant)
        self._session = self._open_session(variant)
        self._add_again(self._window.move(self._session))
        for row, transcript in self._transcripts.items():
            if prefix := transcript.prefix(row.generation):
                self._window.begin_with(row, prefix)
        self.account.note_move(variant)

    def _end(self, request_id: str, end: End) -> CallRow | None:
        if end.finish_reason is FinishReason.CANCELLED:
            self._send_again(request_id, Lost(self._cancelled(), begun=end.lost))
            return None
        if end.finish_reason is FinishReason.ERROR:
            raise ModelFailedError("the model failed on a part of the text")
        row = self._window.row(request_id, end.index)
        self._window.settle(request_id, end.index)
        self._recovery.progress()
        self._recovery.settle(row)
        if transcript := self._transcripts.pop(row, None):
            end = msgspec.structs.replace(end, text=transcript.add(end.text, ends=True))
        row.finish(end)
        self.account.note_end(end)
        return row

    def _cancelled(self) -> ServiceError:
        """Nobody here cancelled: either the engine saw the deadline pass, or it is going down."""
        if asyncio.get_running_loop().time() > self._deadline - _CLOCK_SLACK:
            return DeadlineExceededError("the deadline passed before the answer was complete")
        return ModelNotReadyError(f"{self.account.variant} stopped before the answer was complete")

    def _refuse(self, request_id: str, refusal: Refused) -> None:
        if refusal.reason == RefusalReason.INVALID_OPTIONS:
            raise InvalidOptionError(refusal.message, field=field_of(refusal.option))
        if refusal.reason != RefusalReason.QUEUE_FULL:
            raise ModelFailedError(f"the engine refused the request ({refusal.reason})")
        message = "the model's queue is full"
        if self._recovery.accepted:
            full = ModelNotReadyError(message, retry_delay=self._retry_delay)
            self._send_again(request_id, Lost(full, begun=False))
            return
        self._window.refuse(request_id, message, self._retry_delay)


async def in_thread(cut: Callable[[], _Answer]) -> _Answer:
    """Cuts a long text where that does not hold up the event loop."""
    return await _CUTTING.run(TENANT.get(), cut)


@contextmanager
def running(
    engine: InferenceEngine, route: Route, deadline: float, settings: InferenceSettings
) -> Iterator[RowRunner]:
    """A run in a session of its own; leaving it cancels what the engine still does."""
    with ModelSpan(route.variant) as span, ExitStack() as sessions:

        def open_session(variant: str) -> EngineSession:
            sessions.close()
            return sessions.enter_context(engine.open(variant, deadline, TENANT.get()))

        run = RowRunner(open_session, route, deadline, settings, span)
        try:
            yield run
        finally:
            span.note(run.account)
