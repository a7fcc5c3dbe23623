"""Keeps a small window of chunks at the workers; which chunk is next, the board decides."""

from contextlib import suppress

from services.jobs.errors import QueueUnavailableError
from services.jobs.queue.board import Board, Handout, Ticket
from services.jobs.queue.messages import Queue
from services.jobs.settings import JobSettings
from services.jobs.store.archive import JobRun

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

        Raises QueueUnavailableError.  A chunk whose message could not be sent waits again at once;
        when Redis does not hear that either, the reconciler finds it.
        """
        sent = 0
        while handout := self._next():
            try:
                self._queue.run_chunk(handout.ticket)
            except BaseException:
                with suppress(QueueUnavailableError):
                    self._board.take_back(handout)
                raise
            sent += 1
        return sent

    def announce(self, run: JobRun, chunks: list[int]) -> None:
        """Adds chunks of a run that are to be done; raises QueueUnavailableError."""
        tickets = [Ticket(run.record.id, run.run.number, chunk) for chunk in chunks]
        self._board.announce(run.record.tenant, run.order, tickets)

    def _next(self) -> Handout | None:
        lease = lease_in_queue(self._settings)
        return self._board.dispatch(self._settings.chunk_window, lease)


def lease_in_queue(settings: JobSettings) -> float:
    """Seconds that a chunk may wait for a worker; no lease is longer."""
    return settings.chunk_lease * _LEASES_IN_QUEUE
