"""Hands callers' rows to groups and what these say back, and has rows of a dead group run again."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from engine.contract.events import Delta, End, Event, FinishReason
from engine.parallel.groups.ledger import Ledger, Share
from engine.parallel.groups.messages import CancelRows, Message, RowBegun, RowsSaid, TakeRows
from engine.parallel.groups.routed_row import RoutedRow
from engine.runtime.request import Row

Ended = tuple[RoutedRow, End]


@dataclass
class Relay:
    """`post` sends a message to a group and never waits; `lock` guards the ledger.

    Messages are posted under the lock, so that a cancel comes behind the rows that it is about, and
    callers are told without it. `rerun_rows` counts rows of dead groups that were run again. While
    it `is_stopping`, rows that groups give up have ended.
    """

    ledger: Ledger
    lock: threading.Lock
    post: Callable[[int, Message], None]
    rerun_rows: int = 0
    is_stopping: bool = False

    def route(self, rows: list[Row]) -> None:
        """Gives new rows to groups."""
        with self.lock:
            self._post_rows(self.ledger.add([RoutedRow(row) for row in rows]))

    def place_waiting(self) -> None:
        """Gives groups what waits for one; under the lock."""
        self._post_rows(self.ledger.place())

    def cancel(self, request_id: str) -> None:
        """Ends the rows of a request, wherever they are."""
        with self.lock:
            waiting, shares = self.ledger.cancel(request_id)
            self.ledger.drop(waiting)
            for share in shares:
                self.post(share.group, CancelRows(share.number))
        tell([(routed, routed.closed(FinishReason.CANCELLED)) for routed in waiting])

    def note(self, answer: RowBegun | RowsSaid) -> None:
        """Takes what a group says of rows; in the group's thread, as `lose` is."""
        share = self.ledger.shares.get(answer.number)
        if share is None:
            return
        if isinstance(answer, RowsSaid):
            self._tell(share, answer.events)
        elif answer.index in share.rows:
            share.rows[answer.index].begun = True

    def lose(self, group: int) -> list[Ended]:
        """Has the rows of a dead group run again; those that end instead. Under the lock."""
        now = time.monotonic()
        again: list[RoutedRow] = []
        ended: list[Ended] = []
        for routed in self.ledger.lose(group):
            routed.deaths += routed.begun
            end = self._end_of(routed, now)
            if end is None:
                routed.restart()
                again.append(routed)
            else:
                ended.append((routed, end))
        self.rerun_rows += len(again)
        self.ledger.drop([routed for routed, _ in ended])
        self.ledger.waiting = again + self.ledger.waiting
        self.place_waiting()
        return ended

    def end_late(self) -> None:
        """Ends what waits for a group and whose deadline has passed."""
        now = time.monotonic()
        with self.lock:
            late = [one for one in self.ledger.waiting if one.row.plan.deadline <= now]
            self.ledger.drop(late)
        message = "the deadline passed in the waiting line"
        tell([(routed, routed.closed(FinishReason.CANCELLED, message)) for routed in late])

    def end_all(self, groups: int, message: str) -> None:
        """Ends all rows as CANCELLED; one that a dead group had begun may be why that died."""
        with self.lock:
            rows = list(self.ledger.waiting)
            for group in range(groups):
                rows += self.ledger.lose(group)
            self.ledger.drop(rows)
        cancelled = FinishReason.CANCELLED
        tell([(one, one.closed(cancelled, message, lost=one.deaths > 0)) for one in rows])

    def _post_rows(self, shares: list[Share]) -> None:
        for share in shares:
            # The plans hold what was made of these.
            options = replace(share.request.options, target_prefix="", seed=None)
            rows = [(index, routed.row.plan) for index, routed in share.rows.items()]
            self.post(share.group, TakeRows(share.number, options.as_dict(), rows))

    def _tell(self, share: Share, events: list[Event]) -> None:
        """Tells callers what they don't have yet."""
        told: list[Event] = []
        ended: list[int] = []
        now = time.monotonic()
        for event in events:
            assert isinstance(event, Delta | End), "rows say nothing else"
            routed = share.rows.get(event.index)
            if routed is None or event.index in ended:
                continue
            if isinstance(event, End) and not self.is_stopping and routed.is_unasked(event, now):
                continue  # its group is about to die: it is run again
            relayed = routed.relay(event)
            if relayed is not None:
                told.append(relayed)
            if isinstance(relayed, End):
                ended.append(event.index)
        if ended and not self._close(share, ended):
            return
        if told:
            share.request.emit(told, len(ended))

    def _close(self, share: Share, indices: list[int]) -> bool:
        """Rows have ended; False where the front has ended them before."""
        with self.lock:
            if share.number not in self.ledger.shares:
                return False
            for index in indices:
                self.ledger.close(share, index)
            self.place_waiting()
            return True

    def _end_of(self, routed: RoutedRow, now: float) -> End | None:
        """The end of a row whose group has died; None: it is to be run again."""
        if routed.cancelled or now >= routed.row.plan.deadline:
            return routed.closed(FinishReason.CANCELLED)
        if routed.deaths >= self.ledger.bounds.most_deaths:
            return routed.closed(
                FinishReason.ERROR,
                f"{routed.deaths} processes ended while they ran this text, which may be why: use "
                "another variant for it",
            )
        return None


def tell(ended: list[Ended]) -> None:
    """Tells callers of rows that end; without a lock."""
    for routed, end in ended:
        routed.row.request.emit([end], ended=1)
