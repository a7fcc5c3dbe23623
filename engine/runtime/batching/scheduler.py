"""Which rows run: policy only, no tensors.

Continuous batching (Orca: Yu et al., OSDI 2022): rows are admitted and retired at every step.
"""

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from engine.runtime.batching.fairness import Line
from engine.runtime.batching.row import Row
from engine.runtime.request import Priority

_RESTS = 8.0
"""The rest of a tenant that gives way, in times of what encoding its row took."""


@dataclass
class Limits:
    """How much runs and waits at once.

    `max_rows` bounds the slots that run: a text takes one, or one for each of its beams.
    `token_budget` bounds the sum of the running rows' costs; a row that alone is over it runs
    alone.
    `encoder_tokens` bounds the source tokens admitted in one step, so that running rows wait
    little.
    `bulk_rows` bounds the slots of bulk rows while interactive ones come, or came within `pause`
    seconds: the time to the first token is that of a step, and a step's time grows with its rows.
    A bulk row with more beams than that runs alone of its kind.
    `tenant_rows` likewise bounds the tenant that asks for most by far, while others come.
    """

    max_rows: int = 64
    token_budget: int = 16384
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
        """Opens the lines."""
        self._interactive = Line(self.limits.tenant_rows)
        self._bulk: deque[Row] = deque()
        self._gave_way: list[Row] = []
        self._rest_until = -math.inf

    @property
    def waiting_rows(self) -> int:
        """Rows that wait."""
        return len(self._interactive) + len(self._bulk)

    def submit(self, rows: list[Row]) -> None:
        """Appends rows to the line of their priority; the engine bounds how many wait."""
        for row in rows:
            (self._bulk if _is_bulk(row) else self._interactive).append(row)

    def admit(self, now: float) -> list[Row]:
        """Takes the rows that start now: interactive before bulk."""
        held = self._interactive.held(now)
        is_quiet = now - self._interactive.last_arrival > self.limits.pause
        admitted: list[Row] = []
        source_tokens = 0
        while row := self._next(held, admitted, is_quiet, now):
            # Nothing may pass a row that waits for room: small rows would starve it.
            if not self._fits(row, source_tokens):
                break
            self._start(row)
            source_tokens += row.length
            admitted.append(row)
        self._gave_way = [row for row in admitted if _is_of(row, held)]
        return admitted

    def note_encoded(self, rows: list[Row], now: float, seconds: float) -> None:
        """Has the tenant that gives way rest when its row was among those encoded together."""
        if any(row in self._gave_way for row in rows):
            self._rest_until = now + _RESTS * seconds

    def retire(self, row: Row) -> None:
        """A running row has ended."""
        self.running_slots -= row.width
        self.running_cost -= row.cost
        if _is_bulk(row):
            self.running_bulk -= row.width
        else:
            self._interactive.retire(row)

    def drop_waiting(self, unwanted: Callable[[Row], bool]) -> list[Row]:
        """Takes the rows out of the lines for which `unwanted` holds."""
        bulk = [row for row in self._bulk if unwanted(row)]
        if bulk:
            self._bulk = deque(row for row in self._bulk if not unwanted(row))
        return self._interactive.drop_waiting(unwanted) + bulk

    def _next(
        self, held: str | None, admitted: list[Row], is_quiet: bool, now: float
    ) -> Row | None:
        """The row that is to start next, if one may; of those who give way one a step."""
        has_started = any(_is_of(row, held) for row in admitted)
        may_start = not has_started and self._may_go_on(held, now)
        if row := self._interactive.next(held, may_start=may_start):
            return row
        if self._bulk and (is_quiet or self._gives_way(self._bulk[0], admitted)):
            return self._bulk[0]
        return None

    def _may_go_on(self, held: str | None, now: float) -> bool:
        """Whether the tenant that gives way has rested, or has nobody to rest for."""
        return now >= self._rest_until or not self._interactive.runs_beside(held)

    def _fits(self, row: Row, source_tokens: int) -> bool:
        if self.running_slots == 0:
            return True
        return (
            self.running_slots + row.width <= self.limits.max_rows
            and self.running_cost + row.cost <= self.limits.token_budget
            and (source_tokens == 0 or source_tokens + row.length <= self.limits.encoder_tokens)
        )

    def _gives_way(self, row: Row, admitted: list[Row]) -> bool:
        """Whether a bulk row may start beside interactive ones: few run, and one a step starts."""
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


def _is_of(row: Row, held: str | None) -> bool:
    """Whether it is an interactive row of the tenant that gives way."""
    return row.options.tenant == held and not _is_bulk(row)


def _is_bulk(row: Row) -> bool:
    return row.options.priority is Priority.BULK
