"""A file that tells when the process was last seen to live, for probes that only see files."""

import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

_INTERVAL = 2.0
# More than a Redis that hangs holds up the consumer's loop, which is its socket's timeout.
_PATIENCE = 60.0


class Liveness:
    """Writes a file every `interval` seconds, as long as the process works or may yet.

    It does not when the consumer's loop has not come round for `patience` seconds, or has consumed
    nothing for so long though Redis takes commands, when a thread that it needs is dead, or when
    no file can be opened any more.  So who waits for a Redis that is away is alive, and who can't
    find back to one that is there is not.

    The file holds the seconds since the boot (as /proc/uptime does), since the clock of a machine
    may be set while the process hangs.
    """

    def __init__(
        self,
        file: Path | None,
        refuses: Callable[[], bool],
        interval: float = _INTERVAL,
        patience: float = _PATIENCE,
    ) -> None:
        """`refuses` tells whether Redis rejects commands now, and may block for some seconds.

        Without a file nothing is written or watched.
        """
        self._file = file
        self._refuses = refuses
        self._interval = interval
        self._patience = patience
        self._round = self._good = time.monotonic()
        self._leaves = False
        self._needed: list[Callable[[], bool]] = []
        self._thread = threading.Thread(target=self._run, name="liveness", daemon=True)

    def start(self) -> None:
        """Ends the process, with a sentence, when the file cannot be written."""
        if self._file is None:
            return
        try:
            self._write()
        except OSError as error:
            sys.exit(
                f"seqway worker: SEQWAY_HEARTBEAT_FILE: {self._file} cannot be written"
                f" ({error.strerror}): name a file in a writable folder"
            )
        self._round = self._good = time.monotonic()
        self._thread.start()

    def needs(self, lives: Callable[[], bool]) -> None:
        """Something without which the process does not do its work."""
        self._needed.append(lives)

    def comes_round(self) -> None:
        """The loop has come round, be it that it only tries to connect."""
        self._round = time.monotonic()

    def consumes(self) -> None:
        """The loop has come round, and consumes."""
        self._round = self._good = time.monotonic()

    def leaves(self) -> None:
        """The process is being stopped: what it has begun may take its time."""
        self._leaves = True

    @property
    def lives(self) -> bool:
        """Whether the process works, or may yet."""
        if self._leaves:
            return True
        now = time.monotonic()
        comes_round = now - self._round < self._patience
        may_yet = now - self._good < self._patience
        return comes_round and may_yet and all(lives() for lives in self._needed)

    def _run(self) -> None:
        while True:
            if time.monotonic() - self._good > self._patience / 4 and self._refuses():
                self._good = time.monotonic()
            if self.lives:
                # A full disk, or no descriptors: the file grows old, and the probe tells.
                with suppress(OSError):
                    self._write()
            time.sleep(self._interval)

    def _write(self) -> None:
        """In one piece, over what is there: no reader sees an empty file."""
        assert self._file is not None, "nothing was started"
        seconds = time.clock_gettime(time.CLOCK_BOOTTIME)
        descriptor = os.open(self._file, os.O_WRONLY | os.O_CREAT, 0o644)
        try:
            os.pwrite(descriptor, f"{seconds:015.2f}\n".encode(), 0)
        finally:
            os.close(descriptor)
