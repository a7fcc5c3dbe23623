"""What becomes of an answer's beginning, and of its account."""

import time

from services.gateway import metrics
from services.gateway.admission.limits import PLACE
from services.inference.rows.account import Account


class FirstDelta:
    """Notes the first message of a stream; later ones are free."""

    def __init__(self) -> None:
        self._started: float | None = time.perf_counter()

    def note(self) -> None:
        """Notes that a message has gone out."""
        if self._started is not None:
            metrics.FIRST_DELTA.observe(time.perf_counter() - self._started)
            self._started = None
            if place := PLACE.get():
                place.begin()


def note_account(account: Account) -> None:
    """Counts a call that was answered, and has admission learn from it."""
    metrics.count_account(account)
    if place := PLACE.get():
        place.note(account)
