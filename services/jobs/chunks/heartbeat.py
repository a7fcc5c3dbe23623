"""Keeps the lease of a chunk while it is worked on, and learns when that is in vain."""

import threading
from collections.abc import Callable
from enum import Enum, auto
from typing import Self

import structlog

from services.foundation.endings import ENDINGS
from services.inference.errors import ServiceUnavailableError
from services.jobs.queue.lease import Lease
from services.jobs.store.archive import Archive, JobRun

logger = structlog.get_logger(__name__)


class Halt(Enum):
    """Why work on a chunk stops early."""

    LOST = auto()  # another worker may have the chunk
    ENDED = auto()  # the run was cancelled, has expired or is final, or the job is gone


class Heartbeat:
    """A thread that renews the lease at least three times in its length."""

    def __init__(self, lease: Lease, archive: Archive, run: JobRun) -> None:
        self.reason: Halt | None = None
        self._lease = lease
        self._archive = archive
        self._run = run
        self._on_halt: Callable[[], object] | None = None
        self._left = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def on_halt(self, call: Callable[[], object] | None) -> None:
        """Calls `call` in the heartbeat's thread when work is to stop, at once if it is already."""
        with self._lock:
            self._on_halt = call
            halted = self.reason is not None
        if halted and call is not None:
            call()

    def wait(self, seconds: float) -> None:
        """Sleeps, but not beyond a halt."""
        woken = threading.Event()
        self.on_halt(woken.set)
        woken.wait(seconds)
        self.on_halt(None)

    def look(self) -> Halt | None:
        """Renews the lease now, and tells why to stop, if so."""
        if self.reason is None:
            reason = self._look()
            if reason is not None:
                self._halt(reason)
        return self.reason

    def _look(self) -> Halt | None:
        if not self._lease.renew():
            return Halt.LOST
        try:
            if self._archive.is_late(self._run) or self._archive.is_cancelled(self._run):
                return Halt.ENDED
            if self._archive.store.exists(self._run.layout.final):
                return Halt.ENDED
        except ServiceUnavailableError as error:
            logger.warning("the store could not be reached", error=str(error))
        return None

    def _halt(self, reason: Halt) -> None:
        with self._lock:
            self.reason = reason
            call = self._on_halt
        logger.info("work on the chunk stops", reason=reason.name)
        if call is not None:
            call()

    def _beat(self) -> None:
        while not self._left.wait(min(self._lease.seconds / 3, 2.0)):
            try:
                if self.look() is not None:
                    return
            except ENDINGS:
                raise
            except BaseException:  # else the lease would run out under a worker that works
                logger.exception("a heartbeat failed unexpectedly")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._left.set()
        self._thread.join()
