"""The thread of the controller that has the reconciler look at all jobs, time after time."""

import threading
import time
from collections.abc import Callable

import structlog

logger = structlog.get_logger(__name__)

# It may write the results of a very large job.
_LONGEST_LOOK = 3600.0


class ReconcilerThread:
    """Calls `look` every `interval` seconds of the monotonic clock, until it is stopped.

    Celery's beat keeps on disk when it is due next, by the machine's clock: behind a clock that
    was an hour ahead for a minute it waits for that hour.  And its messages need a Redis that
    takes some.
    """

    def __init__(self, look: Callable[[], None], interval: float) -> None:
        self._look = look
        self._interval = interval
        self._began = time.monotonic()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="looks", daemon=True)

    def start(self) -> None:
        """The first look comes at once."""
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """Begins no other look, and waits for one that has begun, for so long."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(seconds)

    def lives(self) -> bool:
        """Whether there will be another look; one that takes for ever is none."""
        lasts = time.monotonic() - self._began
        return self._thread.is_alive() and lasts < self._interval + _LONGEST_LOOK

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._began = time.monotonic()
            try:
                self._look()
            # Libraries that are not written in Python raise what is no Exception; a look less is
            # better than no look any more.
            except BaseException:
                logger.exception("a look failed unexpectedly")
            self._stopped.wait(self._interval)
