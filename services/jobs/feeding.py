"""Keeps a small window of chunks at the workers; which chunk is next, the board decides."""

from services.jobs.archive import Run
from services.jobs.board import Board, Ticket
from services.jobs.queue import Queue
from services.jobs.settings import JobSettings

# A message that no worker takes in so many leases is taken for lost.
_LEASES_IN_QUEUE = 4


class Feeder:
    """Any process may feed, at any time."""

    def __init__(self, board: Board, queue: Queue, settings: JobSettings) -> None:
        self._board = board
        self._queue = queue
        self._settings = settings

    def feed(self) -> int:
        """Sends chunks until the window is full or none waits, and tells how many.

        Raises QueueUnavailableError.  A chunk whose message could not be sent is sent again when
        its time in the queue has run out.
        """
        sent = 0
        while ticket := self._next():
            self._queue.run_chunk(ticket)
            sent += 1
        return sent

    def announce(self, run: Run, chunks: list[int]) -> None:
        """Adds chunks of a run that are to be done; raises QueueUnavailableError."""
        tickets = (Ticket(run.record.id, run.run.number, chunk) for chunk in chunks)
        self._board.announce(run.record.tenant, run.order, tickets)

    def _next(self) -> Ticket | None:
        lease = self._settings.chunk_lease * _LEASES_IN_QUEUE
        return self._board.dispatch(self._settings.chunk_window, lease)
