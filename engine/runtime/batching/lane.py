"""One lane of an engine: a thread that schedules rows, runs the decoder step, and reports.

What is asked of a lane, from any thread, goes through its inbox: its own thread alone touches its
scheduler and its running rows.
"""

import logging
import math
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from msgspec import structs

from engine.contract.events import FinishReason
from engine.runtime.answer import Streams, closing_event, times_of
from engine.runtime.batching.running_batch import RunningBatch
from engine.runtime.batching.scheduler import Limits, Scheduler
from engine.runtime.decoding.trail import ScoredTrail
from engine.runtime.request import Request, Row
from engine.runtime.sessions.interrupt import Interrupt
from engine.runtime.sessions.session import DeviceLostError, Session

logger = logging.getLogger(__name__)

ENCODER_BUCKET_TOKENS = 32
"""Rows encoded together differ in length by less than this, so that little padding is computed."""

SWEEP_SECONDS = 0.02
"""How often the waiting rows are searched for those whose deadline has passed."""

MOST_STEPS = 64
"""How many steps a session makes at most before it comes back."""

CALL_SECONDS = 0.02
"""How long it may take for them: who leaves, and whose deadline passes, waits for it."""


NOT_FINITE = (
    "the model made values that are not finite: the text is beyond what this precision holds; "
    "use another variant for it"
)


@dataclass
class Gauges:
    """What a lane counts; all but `running` only grow.

    `calls` are those of the session, each of one step or more; `host_seconds` is processor time of
    the lane's thread outside of the session: of encoder, steps, and copies of beams' caches.
    `slots_stepped` sums the slots that had rows over the steps.  `wait_seconds` sums the time of
    rows from arrival until they got slots, or ended without; `run_seconds` from then to their end.
    """

    running: int = 0
    steps: int = 0
    calls: int = 0
    tokens: int = 0
    slots_stepped: int = 0
    wait_seconds: float = 0.0
    run_seconds: float = 0.0
    host_seconds: float = 0.0
    first_token_seconds: deque[float] = field(default_factory=lambda: deque(maxlen=4096))


class Lane:
    """Runs rows on a session of its own; `stream_rate` is in messages a second.

    `on_lost` is called by the lane's thread, which ends then, when the session has lost its device.
    """

    def __init__(
        self,
        session: Session,
        token_bytes: list[bytes],
        limits: Limits,
        stream_rate: float,
        name: str,
        on_lost: Callable[[DeviceLostError], None],
    ) -> None:
        self.gauges = Gauges()
        self.open_rows = 0
        self.open_slots = 0
        self._limits = limits
        self._session = session
        self._token_bytes = token_bytes
        self._quality_model = session.manifest.quality_model
        self._running = RunningBatch(session, limits.max_rows)
        self._scheduler = Scheduler(limits)
        self._streams = Streams(stream_rate)
        self._next_sweep = 0.0
        self._next_deadline = math.inf
        self._has_cancelled = False
        self._seconds_counted = 0.0
        self._counting = threading.Lock()
        self._inbox: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._interrupt = Interrupt()
        # An argument and no attribute: what it holds, most likely the engine, holds this lane, and
        # the two would keep the session's memory until garbage is collected.
        self._thread = threading.Thread(target=self._run, args=(on_lost,), name=name, daemon=True)
        self._stopping = False

    def start(self) -> None:
        """Starts the lane's thread."""
        self._thread.start()

    def stop(self) -> None:
        """Ends what runs as CANCELLED and waits for the thread."""
        self._ask(self._stop)
        self._thread.join()

    def submit(self, rows: list[Row]) -> None:
        """Takes rows; `open_rows` and `open_slots` count them until they end."""
        with self._counting:
            self.open_rows += len(rows)
            self.open_slots += sum(row.width for row in rows)
        self._ask(partial(self._scheduler.submit, rows))

    def cancel(self, request_id: str) -> None:
        """Ends the rows of a request before the next step; an unknown id is ignored."""
        self._ask(partial(self._cancel, request_id))

    def probe(self, request: Request) -> None:
        """Ends one of the request's open rows when the lane comes round to reading its inbox."""
        self._ask(partial(request.emit, [], ended=1))

    def abandon(self, error: DeviceLostError, seconds: float) -> None:
        """Has it end all rows, since another lane has lost the device; waits so long at most."""
        self._ask(partial(_throw, error))
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(seconds)

    def _ask(self, act: Callable[[], None]) -> None:
        self._inbox.put(act)
        self._interrupt.set()

    # Everything below runs in the lane's thread.

    def _run(self, on_lost: Callable[[DeviceLostError], None]) -> None:
        while True:
            try:
                self._read_inbox()
                if self._stopping:
                    break
                self._step_or_fail()
            except DeviceLostError as error:
                self._lose(error)
                on_lost(error)
                return
            self.gauges.running = len(self._running.rows)
            self._count_host_time()
        self._end_all(FinishReason.CANCELLED, "the engine was stopped")

    def _read_inbox(self) -> None:
        """Does all that was asked for; waits for something if there is nothing to run."""
        idle = not self._running.rows and not self._scheduler.waiting_rows
        self._interrupt.clear()
        while True:
            try:
                act = self._inbox.get(block=idle)
            except queue.Empty:
                return
            idle = False
            act()

    def _stop(self) -> None:
        self._stopping = True

    def _cancel(self, request_id: str) -> None:
        for row in self._running.rows:
            row.progress.cancelled |= row.request.id == request_id
            self._has_cancelled |= row.progress.cancelled
        for row in self._scheduler.drop_waiting(lambda row: row.request.id == request_id):
            self._close(row, FinishReason.CANCELLED)

    def _step_or_fail(self) -> None:
        try:
            self._step()
        except DeviceLostError:
            raise
        except Exception as error:  # the thread must outlive a failing step
            logger.exception("a step failed; its rows end with ERROR")
            self._fail(error)

    def _step(self) -> None:
        self._drop_late()
        started = self._admit()
        if self._running.rows:
            self._make_tokens(started)

    def _count_host_time(self) -> None:
        now = time.thread_time()
        spent = now - self._seconds_counted
        self._seconds_counted = now
        self.gauges.host_seconds += spent - self._running.session_clock.take()

    def _drop_late(self) -> None:
        """Ends the rows that were cancelled or whose deadline has passed."""
        now = time.monotonic()
        if now >= self._next_sweep:
            self._next_sweep = now + SWEEP_SECONDS
            for row in self._scheduler.drop_waiting(lambda row: row.plan.deadline <= now):
                self._close(row, FinishReason.CANCELLED, "the deadline passed in the waiting line")
        if self._has_cancelled or now >= self._next_deadline:
            for row in list(self._running.rows):
                if row.progress.cancelled or row.plan.deadline <= now:
                    self._finish(row, FinishReason.CANCELLED)
            rows = self._running.rows
            self._next_deadline = min((row.plan.deadline for row in rows), default=math.inf)
            self._has_cancelled = False

    def _admit(self) -> list[Row]:
        """Starts the rows whose turn it is; returns those that have slots."""
        rows = self._scheduler.admit(time.monotonic())
        rows.sort(key=lambda row: row.length)
        started: list[Row] = []
        while rows:
            longest = rows[0].length + ENCODER_BUCKET_TOKENS
            group = [row for row in rows if row.length < longest]
            rows = rows[len(group) :]
            try:
                self._start_rows(group)
                started += group
            except DeviceLostError as error:
                self._close_lost([*group, *rows], error, began=True)
                raise
            except Exception as error:  # the rest of the batch must outlive it
                logger.exception("the encoder failed; its rows end with ERROR")
                self._close_failed(group, error)
        return started

    def _start_rows(self, group: list[Row]) -> None:
        now = time.monotonic()
        for row in group:
            row.request.begun(row.index)
        self._running.start(group)
        encoded = time.monotonic()
        self._scheduler.note_encoded(group, encoded, encoded - now)
        self._next_deadline = min(self._next_deadline, *(row.plan.deadline for row in group))
        for row in group:
            row.progress.admitted, row.progress.encoded = now, encoded
            row.progress.first_step = self.gauges.steps
            self.gauges.wait_seconds += now - row.plan.arrived

    def _make_tokens(self, started: list[Row]) -> None:
        # A first token is sent, and timed, when it is made.
        most = 1 if started else MOST_STEPS
        patience = self._streams.patience(self._running.streaming, time.monotonic())
        before = self._running.tokens
        done, steps = self._running.step(most, min(CALL_SECONDS, patience), self._interrupt)
        now = time.monotonic()
        self.gauges.steps += steps
        self.gauges.calls += 1
        self.gauges.tokens += self._running.tokens - before
        self.gauges.slots_stepped += steps * self._scheduler.running_slots
        for row in started:
            row.progress.first_token = now
            self.gauges.first_token_seconds.append(now - row.plan.arrived)
        for row, reason in done:
            self._finish(row, reason)
        if due := self._streams.due(self._running.streaming, now):
            self._streams.send(due, self._running.certain(due), now)
        if done:
            self._running.shrink()

    def _finish(self, row: Row, reason: FinishReason, message: str = "") -> None:
        """Ends a running row and frees its slots."""
        answers = self._running.finish(row, reason)
        if reason is FinishReason.ERROR:
            message = NOT_FINITE
            logger.error("text %d of %s: %s", row.index, row.request.id, message)
        self._scheduler.retire(row)
        self._close(row, reason, message, answers)

    def _close(
        self,
        row: Row,
        reason: FinishReason,
        message: str = "",
        answers: Sequence[ScoredTrail] = (),
        *,
        lost: bool = False,
    ) -> None:
        """Sends the closing event of a row that has no slots any more, or never had any."""
        now = time.monotonic()
        with self._counting:
            self.open_rows -= 1
            self.open_slots -= row.width
        if row.progress.admitted:
            self.gauges.run_seconds += now - row.progress.admitted
        else:
            self.gauges.wait_seconds += now - row.plan.arrived
        times = times_of(row, now, self.gauges.steps)
        event = closing_event(
            row, reason, message, times, answers, self._token_bytes, self._quality_model
        )
        row.request.emit([structs.replace(event, lost=True) if lost else event], ended=1)

    def _close_failed(self, rows: list[Row], error: Exception) -> None:
        for row in rows:
            self._scheduler.retire(row)
            self._close(row, FinishReason.ERROR, f"{type(error).__name__}: {error}")

    def _fail(self, error: Exception) -> None:
        """Ends every running row; the state of the slots can't be trusted, so it is made anew."""
        rows = self._running.rows
        self._running = RunningBatch(self._session, self._limits.max_rows)
        self._close_failed(rows, error)

    def _lose(self, error: DeviceLostError) -> None:
        """Ends all rows, those that ran first: one of them may be what lost the device."""
        self._close_lost(self._running.rows, error, began=True)
        with suppress(queue.Empty, DeviceLostError):
            while True:
                self._inbox.get_nowait()()
        self._close_lost(self._scheduler.drop_waiting(lambda _: True), error, began=False)

    def _close_lost(self, rows: list[Row], error: DeviceLostError, *, began: bool) -> None:
        """As if the engine were stopped: callers may ask another process."""
        for row in rows:
            self._close(row, FinishReason.CANCELLED, str(error), lost=began)

    def _end_all(self, reason: FinishReason, message: str) -> None:
        for row in list(self._running.rows):
            self._finish(row, reason, message)
        for row in self._scheduler.drop_waiting(lambda _: True):
            self._close(row, reason, message)


def _throw(error: DeviceLostError) -> None:
    raise error
