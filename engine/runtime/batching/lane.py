"""One lane of an engine: a thread that schedules rows, runs the decoder step, and reports.

`submit` and `cancel` may be called from any thread; they leave a note for the lane's thread, which
alone touches its scheduler and its running rows.
"""

import logging
import queue
import threading
import time
from collections import deque
from dataclasses import dataclass, field

import msgspec

from engine.contract.events import Delta, End, Event, FinishReason
from engine.runtime.answer import closing_event
from engine.runtime.batching.row import Row
from engine.runtime.batching.running_batch import RunningBatch
from engine.runtime.batching.scheduler import Limits, Scheduler
from engine.runtime.request import Request
from engine.runtime.sessions.session import Session

logger = logging.getLogger(__name__)

ENCODER_BUCKET_TOKENS = 32
"""Rows encoded together differ in length by less than this, so that little padding is computed."""

SWEEP_SECONDS = 0.02
"""How often the waiting line is searched for rows whose deadline has passed."""


@dataclass
class Gauges:
    """What a lane counts; all but `running` and `waiting` only grow.

    `slots_stepped` sums the slots that had rows over the steps.  `wait_seconds` sums the time of
    rows from arrival until they got slots, or ended without; `run_seconds` from then to their end.
    """

    running: int = 0
    waiting: int = 0
    steps: int = 0
    tokens: int = 0
    slots_stepped: int = 0
    wait_seconds: float = 0.0
    run_seconds: float = 0.0
    first_token_seconds: deque[float] = field(default_factory=lambda: deque(maxlen=4096))


@dataclass(frozen=True)
class _Cancellation:
    request_id: str


@dataclass(frozen=True)
class _Probe:
    request: Request


class Lane:
    """Runs rows on a session of its own; `stream_rate` is in messages a second."""

    def __init__(
        self,
        session: Session,
        token_bytes: list[bytes],
        limits: Limits,
        stream_rate: float,
        name: str,
    ) -> None:
        self.gauges = Gauges()
        self.open_rows = 0
        self.open_slots = 0
        self._limits = limits
        self._stream_rate = stream_rate
        self._session = session
        self._token_bytes = token_bytes
        self._running = RunningBatch(session, limits.max_rows)
        self._scheduler = Scheduler(limits)
        self._fresh: list[Row] = []
        self._next_sweep = 0.0
        self._counting = threading.Lock()
        self._inbox: queue.SimpleQueue[list[Row] | _Cancellation | _Probe | None] = (
            queue.SimpleQueue()
        )
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._stopping = False

    def start(self) -> None:
        """Starts the lane's thread."""
        self._thread.start()

    def stop(self) -> None:
        """Ends what runs as CANCELLED and waits for the thread."""
        self._inbox.put(None)
        self._thread.join()

    def submit(self, rows: list[Row]) -> None:
        """Takes rows; `open_rows` and `open_slots` count them until they end."""
        with self._counting:
            self.open_rows += len(rows)
            self.open_slots += sum(row.width for row in rows)
        self._inbox.put(rows)

    def cancel(self, request_id: str) -> None:
        """Ends the rows of a request before the next step; an unknown id is ignored."""
        self._inbox.put(_Cancellation(request_id))

    def probe(self, request: Request) -> None:
        """Ends one of the request's open rows when the lane comes round to reading its notes."""
        self._inbox.put(_Probe(request))

    # Everything below runs in the lane's thread.

    def _run(self) -> None:
        while True:
            self._read_inbox()
            if self._stopping:
                break
            try:
                self._step()
            except Exception as error:  # the thread must outlive a failing step
                logger.exception("a step failed; its rows end with ERROR")
                self._fail(error)
        self._end_all(FinishReason.CANCELLED, "the engine was stopped")

    def _read_inbox(self) -> None:
        """Reads all notes; waits for one if there is nothing to do."""
        idle = not self._running.rows and not self._scheduler.waiting_rows
        while True:
            try:
                note = self._inbox.get(block=idle)
            except queue.Empty:
                return
            idle = False
            if note is None:
                self._stopping = True
            elif isinstance(note, _Cancellation):
                self._cancel(note.request_id)
            elif isinstance(note, _Probe):
                note.request.emit([], ended=1)
            else:
                self._scheduler.submit(note)

    def _cancel(self, request_id: str) -> None:
        for row in self._running.rows:
            row.cancelled = row.cancelled or row.request.id == request_id
        for row in self._scheduler.drop_waiting(lambda row: row.request.id == request_id):
            self._end(row, FinishReason.CANCELLED)

    def _step(self) -> None:
        self._drop_late()
        self._admit()
        if self._running.rows:
            self._make_tokens()
        self.gauges.running = len(self._running.rows)
        self.gauges.waiting = self._scheduler.waiting_rows

    def _drop_late(self) -> None:
        """Ends the rows that were cancelled or whose deadline has passed."""
        now = time.monotonic()
        if now >= self._next_sweep:
            self._next_sweep = now + SWEEP_SECONDS
            for row in self._scheduler.drop_waiting(lambda row: row.deadline <= now):
                self._end(row, FinishReason.CANCELLED, "the deadline passed in the waiting line")
        for row in list(self._running.rows):
            if row.cancelled or row.deadline <= now:
                self._finish(row, FinishReason.CANCELLED)

    def _admit(self) -> None:
        rows = sorted(self._scheduler.admit(time.monotonic()), key=lambda row: len(row.source))
        while rows:
            shortest = len(rows[0].source)
            group = [row for row in rows if len(row.source) < shortest + ENCODER_BUCKET_TOKENS]
            rows = rows[len(group) :]
            try:
                self._start_rows(group)
            except Exception as error:  # the rest of the batch must outlive it
                logger.exception("the encoder failed; its rows end with ERROR")
                for row in group:
                    self._scheduler.retire(row)
                    self._end(row, FinishReason.ERROR, f"{type(error).__name__}: {error}")

    def _start_rows(self, group: list[Row]) -> None:
        now = time.monotonic()
        self._running.start(group)
        encoded = time.monotonic()
        self._scheduler.note_encoded(group, encoded, encoded - now)
        for row in group:
            row.admitted, row.encoded = now, encoded
            row.first_step = self.gauges.steps
            self.gauges.wait_seconds += now - row.arrived
        self._fresh += group

    def _make_tokens(self) -> None:
        done = self._running.step()
        now = time.monotonic()
        self.gauges.steps += 1
        self.gauges.tokens += len(self._running.rows)
        self.gauges.slots_stepped += self._scheduler.running_slots
        for row in self._fresh:
            row.first_token = now
            self.gauges.first_token_seconds.append(now - row.arrived)
        self._fresh.clear()
        for row, reason in done:
            self._finish(row, reason)
        self._flush(now)
        if done:
            self._running.shrink()

    def _flush(self, now: float) -> None:
        """Sends each stream the text that is new, as often as `stream_rate` allows."""
        streams = [row for row in self._running.rows if row.options.stream]
        if not streams:
            return
        interval = len({id(row.request) for row in streams}) / self._stream_rate
        events: dict[int, tuple[Request, list[Event]]] = {}
        for row in streams:
            request = row.request
            if now - request.last_flush < interval:
                continue
            tokens = self._running.certain(row)
            text = row.detokenizer.push(tokens[row.flushed :].tolist())
            row.flushed = len(tokens)
            if text:
                events.setdefault(id(request), (request, []))[1].append(Delta(row.index, text))
        for request, batch in events.values():
            request.last_flush = now
            request.emit(batch)

    def _finish(self, row: Row, reason: FinishReason, message: str = "") -> None:
        """Ends a running row and frees its slots."""
        hypotheses = self._running.answers(row, reason)
        self._running.free(row)
        self._scheduler.retire(row)
        if row in self._fresh:
            self._fresh.remove(row)
        event = closing_event(row, reason, hypotheses, self._token_bytes)
        self._close(row, msgspec.structs.replace(event, message=message))

    def _end(self, row: Row, reason: FinishReason, message: str = "") -> None:
        """Ends a row that has no slots."""
        self._close(row, End(row.index, reason, len(row.source), message=message))

    def _close(self, row: Row, event: End) -> None:
        now = time.monotonic()
        with self._counting:
            self.open_rows -= 1
            self.open_slots -= row.width
        if row.admitted:
            self.gauges.run_seconds += now - row.admitted
        else:
            self.gauges.wait_seconds += now - row.arrived
        timed = msgspec.structs.replace(
            event,
            queue_ms=round(1000 * ((row.admitted or now) - row.arrived), 3),
            encoded_ms=round(1000 * max(0.0, row.encoded - row.arrived), 3),
            first_token_ms=round(1000 * max(0.0, row.first_token - row.arrived), 3),
            total_ms=round(1000 * (now - row.arrived), 3),
            steps=self.gauges.steps - row.first_step if row.admitted else 0,
            slots=row.width if row.admitted else 0,
        )
        row.request.emit([timed], ended=1)

    def _fail(self, error: Exception) -> None:
        """Ends every running row; the state of the slots can't be trusted, so it is made anew."""
        rows = self._running.rows
        self._running = RunningBatch(self._session, self._limits.max_rows)
        self._fresh.clear()
        for row in rows:
            self._scheduler.retire(row)
            self._end(row, FinishReason.ERROR, f"{type(error).__name__}: {error}")

    def _end_all(self, reason: FinishReason, message: str) -> None:
        for row in list(self._running.rows):
            self._finish(row, reason, message)
        for row in self._scheduler.drop_waiting(lambda _: True):
            self._end(row, reason, message)
