"""Which rows run: policy only, no tensors.

Continuous batching (Orca: Yu et al., OSDI 2022): rows are admitted and retired at every step.
"""

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from engine.contract.options import Priority
from engine.runtime.batching.fairness import FairQueue
from engine.runtime.request import Row

_PAUSE_FACTOR = 8.0
"""How long a throttled tenant pauses, in multiples of what encoding its last row took."""


MOST_ROWS = 1024
"""Slots that may be asked for: with more a GPU's step takes as much longer as it has more rows."""

MOST_TOKENS = 1 << 30
"""Tokens, and rows that wait, that may be asked for: any memory ends before."""

TOKEN_BUDGET = 16384
"""The budget on a processor, whose memory grows with the tokens that run."""


@dataclass
class Limits:
    """How much runs and waits at once.

    `max_rows` bounds the slots that run: a text takes one, or one for each of its beams.
    `token_budget` bounds the sum of the running rows' costs, 0 as suits what runs them (see
    `engine.runtime.sessions.placement.limits_of`); a row that alone is over it runs alone.
    `encoder_tokens` bounds the source tokens admitted in one step, so that running rows wait
    little.
    `bulk_rows` bounds the slots of bulk rows while interactive ones come, or came within `pause`
    seconds: the time to the first token is that of a step, and a step's time grows with its rows.
    A bulk row with more beams than that runs alone of its kind.
    `tenant_rows` likewise bounds a throttled tenant: see `FairQueue`.
    """

    max_rows: int = 64
    token_budget: int = 0
    max_waiting: int = 4096
    encoder_tokens: int = 2048
    bulk_rows: int = 4
    tenant_rows: int = 2
    pause: float = 5.0


@dataclass
class Scheduler:
    """The waiting rows, and the sum of what runs."""

    limits: Limits
    running_slots: int = 0
    running_cost: int = 0
    running_bulk: int = 0

    def __post_init__(self) -> None:
        """Opens the queues."""
        self._budget = self.limits.token_budget or TOKEN_BUDGET
        self._interactive = FairQueue(self.limits.tenant_rows)
        self._bulk: deque[Row] = deque()
        self._throttled_rows: list[Row] = []
        self._paused_until = -math.inf

    @property
    def waiting_rows(self) -> int:
        """How many rows wait."""
        return len(self._interactive) + len(self._bulk)

    def submit(self, rows: list[Row]) -> None:
        """Appends rows to the queue of their priority; the engine bounds how many wait."""
        for row in rows:
            (self._bulk if _is_bulk(row) else self._interactive).append(row)

    def admit(self, now: float) -> list[Row]:
        """Takes the rows that start now: interactive before bulk."""
        if not self.waiting_rows:
            self._throttled_rows = []
            return []
        throttled = self._interactive.throttled(now)
        is_quiet = now - self._interactive.last_arrival > self.limits.pause
        admitted: list[Row] = []
        source_tokens = 0
        while row := self._next(throttled, admitted, is_quiet, now):
            # Nothing may pass a row that waits for room: small rows would starve it.
            if not self._fits(row, source_tokens):
                break
            self._start(row)
            source_tokens += row.length
            admitted.append(row)
        self._throttled_rows = [row for row in admitted if _is_of(row, throttled)]
        return admitted

    def note_encoded(self, rows: list[Row], now: float, seconds: float) -> None:
        """Pauses the throttled tenant when its row was among those encoded together."""
        if any(row in self._throttled_rows for row in rows):
            self._paused_until = now + _PAUSE_FACTOR * seconds

    def retire(self, row: Row) -> None:
        """A running row has ended."""
        self.running_slots -= row.width
        self.running_cost -= row.cost
        if _is_bulk(row):
            self.running_bulk -= row.width
        else:
            self._interactive.retire(row)

    def drop_waiting(self, unwanted: Callable[[Row], bool]) -> list[Row]:
        """Takes the waiting rows for which `unwanted` holds."""
        bulk = [row for row in self._bulk if unwanted(row)]
        if bulk:
            self._bulk = deque(row for row in self._bulk if not unwanted(row))
        return self._interactive.drop_waiting(unwanted) + bulk

    def _next(
        self, throttled: str | None, admitted: list[Row], is_quiet: bool, now: float
    ) -> Row | None:
        """The row that starts next, if one may; of a throttled tenant one a step."""
        has_started = any(_is_of(row, throttled) for row in admitted)
        may_start = not has_started and self._has_paused(throttled, now)
        if row := self._interactive.next(throttled, may_start=may_start):
            return row
        if self._bulk and (is_quiet or self._bulk_fits(self._bulk[0], admitted)):
            return self._bulk[0]
        return None

    def _has_paused(self, throttled: str | None, now: float) -> bool:
        """Whether the throttled tenant's pause is over, or no row of others profits from it."""
        return now >= self._paused_until or not self._interactive.runs_beside(throttled)

    def _fits(self, row: Row, source_tokens: int) -> bool:
        if self.running_slots == 0:
            return True
        return (
            self.running_slots + row.width <= self.limits.max_rows
            and self.running_cost + row.cost <= self._budget
            and (source_tokens == 0 or source_tokens + row.length <= self.limits.encoder_tokens)
        )

    def _bulk_fits(self, row: Row, admitted: list[Row]) -> bool:
        """Whether a bulk row may start beside interactive ones: few run, one starts a step."""
        has_room = self.running_bulk + row.width <= self.limits.bulk_rows
        return not admitted and (has_room or self.running_bulk == 0)

    def _start(self, row: Row) -> None:
        self.running_slots += row.width
        self.running_cost += row.cost
        if _is_bulk(row):
            self._bulk.popleft()
            self.running_bulk += row.width
        else:
            self._interactive.start(row)


def _is_of(row: Row, tenant: str | None) -> bool:
    """Whether it is an interactive row of that tenant."""
    return row.options.tenant == tenant and not _is_bulk(row)


def _is_bulk(row: Row) -> bool:
    return row.options.priority is Priority.BULK
