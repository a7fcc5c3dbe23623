"""Room for what takes much memory: few inputs have it at a time, whoever sends them."""

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from services.inference.errors import OverloadError

_RETRY_DELAY = 10.0


class Room:
    """So many places; who gets none within `patience` seconds is told to come again."""

    def __init__(self, what: str, places: int, patience: float) -> None:
        """`what` is the plural of what has a place."""
        self._what = what
        self._places = places
        self._patience = patience
        self._free = threading.BoundedSemaphore(places)

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place for as long as the block runs; blocks for one, then raises OverloadError."""
        if not self._free.acquire(timeout=self._patience):
            raise OverloadError(
                f"{self._places} {self._what} are being read already, which is the limit:"
                " try again",
                retry_delay=_RETRY_DELAY,
            )
        try:
            yield
        finally:
            self._free.release()


# While it is parsed, a row may take 28 times its bytes, as it may hold that many tiny values.
LARGE_ROW_BYTES = 2**20
_LARGE_ROWS = Room(f"rows of more than {LARGE_ROW_BYTES} bytes", places=1, patience=5.0)


def room_for_row(size: int) -> AbstractContextManager[None]:
    """Room for a row of so many bytes, while it is parsed."""
    return _LARGE_ROWS.place() if size > LARGE_ROW_BYTES else nullcontext()
