"""Which rows run: policy only, no tensors.

Continuous batching (Orca: Yu et al., OSDI 2022): rows are admitted and retired at every step.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from engine.runtime.request import Priority
from engine.runtime.row import Row


@dataclass
class Limits:
    """How much runs and waits at once.

    `max_rows` bounds the slots that run: a text takes one, or one for each of its beams.
    `token_budget` bounds the sum of the running rows' costs; a row that alone is over it runs
    alone.
    `encoder_tokens` bounds the source tokens admitted in one step, so that running rows wait
    little.
    `bulk_rows` bounds the slots of bulk rows while interactive ones come, or came within
    `bulk_pause` seconds: the time to the first token is that of a step, and a step's time grows
    with its rows. A bulk row with more beams than that runs alone of its kind.
    """

    max_rows: int = 64
    token_budget: int = 16384
    max_waiting: int = 4096
    encoder_tokens: int = 2048
    bulk_rows: int = 4
    bulk_pause: float = 5.0


@dataclass
class Scheduler:
    """The waiting lines, one a priority, and the sum of what runs."""

    limits: Limits
    running_slots: int = 0
    running_cost: int = 0
    running_bulk: int = 0
    last_interactive: float = float("-inf")
    _lines: dict[Priority, deque[Row]] = field(
        default_factory=lambda: {priority: deque() for priority in Priority}
    )

    @property
    def waiting_rows(self) -> int:
        """Rows that wait."""
        return sum(len(line) for line in self._lines.values())

    def submit(self, rows: list[Row]) -> None:
        """Appends rows to the line of their priority; the engine bounds how many wait."""
        for row in rows:
            self._lines[row.request.options.priority].append(row)
            if not _is_bulk(row):
                self.last_interactive = max(self.last_interactive, row.arrived)

    def admit(self, now: float) -> list[Row]:
        """Takes the rows that start now: interactive before bulk, first come first served."""
        is_quiet = now - self.last_interactive > self.limits.bulk_pause
        admitted: list[Row] = []
        source_tokens = 0
        for priority in Priority:
            line = self._lines[priority]
            while line and self._fits(line[0], source_tokens):
                if _is_bulk(line[0]) and not is_quiet and not self._gives_way(line[0], admitted):
                    break
                row = line.popleft()
                source_tokens += len(row.source)
                self.running_slots += row.width
                self.running_bulk += row.width * _is_bulk(row)
                self.running_cost += row.cost
                admitted.append(row)
            if line:
                break  # nothing may pass a row that waits for room: small bulk rows would starve it
        return admitted

    def _fits(self, row: Row, source_tokens: int) -> bool:
        if self.running_slots == 0:
            return True
        return (
            self.running_slots + row.width <= self.limits.max_rows
            and self.running_cost + row.cost <= self.limits.token_budget
            and (
                source_tokens == 0 or source_tokens + len(row.source) <= self.limits.encoder_tokens
            )
        )

    def _gives_way(self, row: Row, admitted: list[Row]) -> bool:
        """Whether a bulk row may start beside interactive ones: few run, and one a step starts."""
        has_room = self.running_bulk + row.width <= self.limits.bulk_rows
        return not admitted and (has_room or self.running_bulk == 0)

    def retire(self, row: Row) -> None:
        """A running row has ended."""
        self.running_slots -= row.width
        self.running_bulk -= row.width * _is_bulk(row)
        self.running_cost -= row.cost

    def drop_waiting(self, unwanted: Callable[[Row], bool]) -> list[Row]:
        """Takes the rows out of the line for which `unwanted` holds."""
        dropped: list[Row] = []
        for priority, line in self._lines.items():
            kept: deque[Row] = deque()
            for row in line:
                (dropped if unwanted(row) else kept).append(row)
            self._lines[priority] = kept
        return dropped


def _is_bulk(row: Row) -> bool:
    return row.request.options.priority is Priority.BULK
