"""Which rows are at which group, and which wait for one: policy only, no I/O and no locks.

Rows go to the group with the largest free token budget. A row that was begun by several groups that
died is a suspect: a group has at most one of them at a time, so that what died with it is not
blamed for it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count

from engine.parallel.groups.bounds import Bounds
from engine.parallel.groups.routed_row import RoutedRow
from engine.runtime.request import Request


@dataclass(eq=False)
class Share:
    """The rows of one request that a group was given together, by the index of their texts."""

    number: int
    group: int
    request: Request
    rows: dict[int, RoutedRow]


@dataclass
class GroupLoad:
    """What a group that lives has in flight."""

    budget: int
    tokens: int = 0
    suspects: int = 0

    @property
    def free(self) -> int:
        """Below zero where rows wait in the group."""
        return self.budget - self.tokens


@dataclass
class Ledger:
    """Everything that is open; `loads` has the groups that live."""

    bounds: Bounds
    loads: dict[int, GroupLoad] = field(default_factory=dict)
    shares: dict[int, Share] = field(default_factory=dict)
    waiting: list[RoutedRow] = field(default_factory=list)
    open_rows: int = 0
    _numbers: Iterator[int] = field(default_factory=count)

    def add(self, rows: list[RoutedRow]) -> list[Share]:
        """Takes new rows; what each group is to be given."""
        self.open_rows += len(rows)
        self.waiting += rows
        return self.place()

    def place(self) -> list[Share]:
        """Gives the waiting rows to groups as far as these take them."""
        if not (self.waiting and self.loads):
            return []
        waiting, self.waiting = self.waiting, []
        shares: dict[tuple[int, int], Share] = {}
        for routed in waiting:
            group = self._choose(routed)
            if group is None:
                self.waiting.append(routed)
                continue
            self._count(group, routed, 1)
            request = routed.row.request
            key = group, id(request)
            if key not in shares:
                shares[key] = Share(next(self._numbers), group, request, {})
            shares[key].rows[routed.row.index] = routed
        self.shares |= {share.number: share for share in shares.values()}
        return list(shares.values())

    def close(self, share: Share, index: int) -> None:
        """A row has ended at its group."""
        routed = share.rows.pop(index)
        self._count(share.group, routed, -1)
        self.open_rows -= 1
        if not share.rows:
            del self.shares[share.number]

    def lose(self, group: int) -> list[RoutedRow]:
        """A group does not live any more; its rows, which have to be run again or `drop`ped."""
        self.loads.pop(group, None)
        lost = [share for share in self.shares.values() if share.group == group]
        for share in lost:
            del self.shares[share.number]
        return [routed for share in lost for routed in share.rows.values()]

    def drop(self, rows: list[RoutedRow]) -> None:
        """Rows end that are at no group."""
        self.open_rows -= len(rows)
        gone = set(map(id, rows))
        self.waiting = [routed for routed in self.waiting if id(routed) not in gone]

    def cancel(self, request_id: str) -> tuple[list[RoutedRow], list[Share]]:
        """Marks the rows of a request: those that wait, and what groups have of it."""
        shares = [share for share in self.shares.values() if share.request.id == request_id]
        waiting = [routed for routed in self.waiting if routed.row.request.id == request_id]
        for routed in waiting:
            routed.cancelled = True
        for share in shares:
            for routed in share.rows.values():
                routed.cancelled = True
        return waiting, shares

    def is_suspect(self, routed: RoutedRow) -> bool:
        """Whether it may be what ends groups."""
        return routed.deaths >= self.bounds.suspect_deaths

    def _choose(self, routed: RoutedRow) -> int | None:
        loads: Mapping[int, GroupLoad] = self.loads
        if self.is_suspect(routed):
            loads = {group: load for group, load in loads.items() if not load.suspects}
        return max(loads, key=lambda group: loads[group].free, default=None)

    def _count(self, group: int, routed: RoutedRow, times: int) -> None:
        load = self.loads[group]
        load.tokens += times * routed.row.cost
        load.suspects += times * self.is_suspect(routed)
