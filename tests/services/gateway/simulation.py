"""Admission in front of a simulated engine, in simulated time.

The engine has lanes with slots, as the real one.

A call is a text of many sentences; each is a row that waits for a slot of a lane, and then takes a
step for each of its tokens.  A step takes longer the more rows there are.
"""

import heapq
import itertools
import random
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import pytest

from services.gateway.admission import capacity, estimates
from services.gateway.admission.capacity import PLACE, Capacity, Place
from services.inference.errors import DeadlineExceededError, OverloadError
from services.inference.rows.account import Account

_LANES, _SLOTS, _WINDOW, _STARTS = 2, 64, 64, 16
_STEP, _STEP_OF_ROW, _ENCODING = 0.0015, 0.00012, 0.0015
_TOKENS = range(10, 46)
_CHARACTERS_OF_TOKEN = (3.2, 5.0)


@dataclass(frozen=True)
class Kind:
    """Calls with so many sentences, and so many seconds to their deadline."""

    share: float
    sentences: range
    deadline: float


@dataclass
class Call:
    """One that was let in, or was not."""

    kind: Kind
    rows: deque[int]
    characters: int
    tokens: int
    began: float
    left: int
    with_engine: int = 0
    queued: float = 0.0
    over: bool = False
    place: Place | None = None
    entered: AbstractContextManager[None] | None = None


@dataclass
class Row:
    call: Call
    left: int
    arrived: float
    started: float = 0.0


@dataclass
class Lane:
    waiting: deque[Row] = field(default_factory=deque)
    running: list[Row] = field(default_factory=list)
    busy: bool = False


class Simulation:
    """An engine that is `slowness` times as slow as a fast one, and calls that come by chance."""

    def __init__(self, slowness: float, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.ends: Counter[str] = Counter()
        self.tokens_answered = 0
        self._slowness = slowness
        self._random = random.Random(1)
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._lanes = [Lane() for _ in range(_LANES)]
        monkeypatch.setattr(capacity.time, "monotonic", lambda: self.now)
        self._capacity = Capacity(calls=10_000, tokens=100_000, retry_delay=0.5)
        monkeypatch.setattr(self._capacity, "_estimator", estimates.WorkEstimator(lambda: self.now))

    @property
    def capacity(self) -> float:
        """Tokens a second when all slots are taken."""
        mean = (_TOKENS.start + _TOKENS.stop - 1) / 2
        seconds = self._slowness * (_STEP + _SLOTS * (_STEP_OF_ROW + _ENCODING / mean))
        return _LANES * _SLOTS / seconds

    def run(self, kinds: Sequence[Kind], share: float, seconds: float) -> None:
        """Calls of `share` times the capacity, by a Poisson process."""
        mean_row = (_TOKENS.start + _TOKENS.stop - 1) / 2
        mean = sum(k.share * (k.sentences[0] + k.sentences[-1]) / 2 for k in kinds) * mean_row
        rate = share * self.capacity / mean

        def arrive() -> None:
            if self.now < seconds:
                (kind,) = self._random.choices(kinds, [each.share for each in kinds])
                self._call(kind)
                self._at(self.now + self._random.expovariate(rate), arrive)

        self._at(0.0, arrive)
        while self._events:
            self.now, _, event = heapq.heappop(self._events)
            event()

    def _at(self, when: float, event: Callable[[], None]) -> None:
        heapq.heappush(self._events, (when, next(self._order), event))

    def _call(self, kind: Kind) -> None:
        rows = deque(
            self._random.choice(_TOKENS) for _ in range(self._random.choice(kind.sentences))
        )
        characters = int(sum(rows) * self._random.uniform(*_CHARACTERS_OF_TOKEN))
        call = Call(kind, rows, characters, sum(rows), self.now, len(rows))
        entered = self._capacity.enter(characters, kind.deadline)
        try:
            entered.__enter__()
        except OverloadError as error:
            assert error.retry_delay is not None
            self.ends["refused"] += 1
            return
        call.entered, call.place = entered, PLACE.get()
        self._at(self.now + kind.deadline, lambda: self._late(call))
        self._fill(call)

    def _fill(self, call: Call) -> None:
        while call.rows and call.with_engine < _WINDOW:
            lane = min(self._lanes, key=lambda each: len(each.waiting) + len(each.running))
            lane.waiting.append(Row(call, call.rows.popleft(), self.now))
            call.with_engine += 1
            if not lane.busy:
                lane.busy = True
                self._at(self.now, lambda lane=lane: self._step(lane))  # type: ignore[misc]

    def _step(self, lane: Lane) -> None:
        lane.running = [row for row in lane.running if not row.call.over]
        lane.waiting = deque(row for row in lane.waiting if not row.call.over)
        starting = min(_STARTS, _SLOTS - len(lane.running), len(lane.waiting))
        for _ in range(starting):
            row = lane.waiting.popleft()
            row.started = self.now
            lane.running.append(row)
        if not lane.running:
            lane.busy = False
            return
        seconds = self._slowness * (_STEP + _STEP_OF_ROW * len(lane.running) + _ENCODING * starting)
        for row in lane.running:
            row.left -= 1
        ended = [row for row in lane.running if not row.left]
        lane.running = [row for row in lane.running if row.left]
        end = self.now + seconds * self._random.uniform(0.8, 1.2)
        self._at(end, lambda: self._end(ended))
        self._at(end, lambda: self._step(lane))

    def _end(self, rows: list[Row]) -> None:
        for call in (row.call for row in rows if not row.call.over):
            call.left -= 1
            call.with_engine -= 1
            call.queued = max(
                [call.queued, *(r.started - r.arrived for r in rows if r.call is call)]
            )
            self._fill(call)
            if not call.left:
                self._answer(call)

    def _answer(self, call: Call) -> None:
        call.over = True
        assert call.place is not None and call.entered is not None
        account = Account(
            "simulated", input_tokens=call.tokens, output_tokens=call.tokens, started=0
        )
        account.queue, account.total = call.queued, self.now - call.began
        call.place.note(account)
        call.entered.__exit__(None, None, None)
        self.ends["answered"] += 1
        self.tokens_answered += call.tokens

    def _late(self, call: Call) -> None:
        if call.over:
            return
        call.over = True
        assert call.entered is not None
        error = DeadlineExceededError("too late")
        assert not call.entered.__exit__(DeadlineExceededError, error, None), "it was swallowed"
        self.ends["late"] += 1
