"""The time that processes share: Redis's, and the store's for as long as Redis was never heard.

What one process writes and another one reads (deadlines, retention, ages, the order of jobs) must
not depend on the clock of the machine that wrote it.  Durations inside a process are `monotonic`.
"""

import time
from threading import Lock
from typing import Protocol

import structlog

from services.inference.errors import ServiceUnavailableError

logger = structlog.get_logger(__name__)

_FRESH_SECONDS = 30.0
# Asking a Redis that is away takes up to its timeout.
_RETRY_SECONDS = 5.0
# Stores tell whole seconds.
_STORE_SECONDS = 1.0


class TimeSource(Protocol):
    """Knows what time it is, in seconds since the epoch; raises ServiceUnavailableError."""

    def now(self) -> float:
        """The time."""
        ...


class Clock:
    """Asks Redis twice a minute, and goes on by the monotonic clock in between.

    A Redis that is away changes nothing for a process that has heard it once.  One that never did
    takes the store's time.  Safe to use by several threads.
    """

    def __init__(self, redis: TimeSource, store: TimeSource) -> None:
        self._redis = redis
        self._store = store
        self._lock = Lock()
        self._offset: float | None = None
        self._due = float("-inf")
        self._is_heard = False

    def now(self) -> float:
        """Seconds since the epoch; StoreUnavailableError when neither was ever heard."""
        with self._lock:
            if self._offset is None or time.monotonic() >= self._due:
                self._offset = self._ask()
            return self._offset + time.monotonic()

    def is_over(self, when: float) -> bool:
        """Whether a time has passed by both clocks, for what can't be taken back.

        A Redis or a machine whose clock ran ahead must not have anything deleted.
        """
        return when <= self.now() and when <= self._store.now() + _STORE_SECONDS

    def _ask(self) -> float:
        try:
            offset = _offset_of(self._redis)
        except ServiceUnavailableError as error:
            self._due = time.monotonic() + _RETRY_SECONDS
            if self._offset is not None and self._is_heard:
                logger.debug("an earlier answer of Redis gives the time", error=str(error))
                return self._offset
            return _offset_of(self._store)
        self._is_heard = True
        self._due = time.monotonic() + _FRESH_SECONDS
        return offset


def _offset_of(source: TimeSource) -> float:
    """What is to be added to the monotonic clock; the answer is taken for half a round trip old."""
    asked = time.monotonic()
    now = source.now()
    return now - (asked + time.monotonic()) / 2
