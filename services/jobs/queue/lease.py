"""A chunk that one worker has for a while."""

import secrets

import structlog

from services.inference.errors import ServiceUnavailableError
from services.jobs.queue.board import Board, Handout, Ticket
from services.jobs.store.archive import JobRun

logger = structlog.get_logger(__name__)


class Lease:
    """A worker's hold on a chunk, which ends `seconds` after it was last renewed.

    The token fences: whoever has another one cannot renew, release or give back the chunk.  While
    Redis does not answer the lease counts as held, since the chunk's result is written once.
    """

    def __init__(self, board: Board, ticket: Ticket, seconds: float) -> None:
        self.ticket = ticket
        self.token = secrets.token_hex(8)
        self.seconds = seconds
        self._board = board

    def acquire(self) -> bool:
        """Begins the lease; False while another worker has the chunk."""
        try:
            return self._board.acquire(self.ticket, self.token, self.seconds)
        except ServiceUnavailableError:
            return True  # the commit decides

    def renew(self) -> bool:
        """Extends the lease; False when another worker may have the chunk."""
        owner = self.ticket, self.token, self.seconds
        try:
            # A Redis that came back empty has forgotten us: ask again, as a new owner would.
            return self._board.renew(*owner) or self._board.acquire(*owner)
        except ServiceUnavailableError as error:
            logger.warning("the lease could not be renewed", error=str(error))
            return True

    def release(self) -> bool:
        """Ends the lease; tells whether no chunk of the job waits or is out any more."""
        try:
            return self._board.release(self.ticket, self.token)
        except ServiceUnavailableError:
            return False  # the reconciler will see it

    def give_back(self, run: JobRun) -> None:
        """Ends the lease, and has the chunk wait again."""
        handout = Handout(self.ticket, run.record.tenant, run.order)
        try:
            self._board.put_back(handout, self.token)
        except ServiceUnavailableError as error:
            logger.warning("a chunk is left to the reconciler", error=str(error))
