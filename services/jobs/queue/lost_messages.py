"""Finds chunks that are out though no worker will ever hear of them."""

import time

from services.jobs.queue.board import Board, Ticket
from services.jobs.queue.messages import Queue

# A worker that has taken a message begins its chunk within this part of a lease.
_PART_OF_LEASE = 1 / 3


class LostMessages:
    """A message is lost when Redis takes it out of the queue and then refuses to note who has it.

    So does a Redis at its maxmemory, and one that dies at that moment.  Whoever looks twice, and
    finds no message and no worker both times, gives the place back: its lease need not run out.
    A place that is given back by mistake costs a message that nobody needs.
    """

    def __init__(self, board: Board, queue: Queue, lease: float) -> None:
        self._board = board
        self._queue = queue
        self._patience = lease * _PART_OF_LEASE
        self._since: dict[Ticket, float] = {}

    def drop(self) -> list[Ticket]:
        """Forgets that those are out, and returns them; raises QueueUnavailableError."""
        unowned = self._board.unowned()
        waiting = self._queue.waiting(self._board) if unowned else set()
        missing = unowned - waiting if waiting is not None else set()
        now = time.monotonic()
        self._since = {ticket: self._since.get(ticket, now) for ticket in missing}
        late = [one for one, since in self._since.items() if now - since >= self._patience]
        return [ticket for ticket in late if self._board.drop(ticket)]
