"""A file whose age tells whether the process lives, for probes that only see files."""

import sys
import threading
import time
from pathlib import Path

_INTERVAL = 2.0
# More than a Redis that hangs holds up the consumer's loop, which is its socket's timeout.
_PATIENCE = 60.0


class Liveness:
    """Touches a file every `interval` seconds, but not when the consumer's loop hangs.

    The loop hangs when it consumes and has not called `consumes` for `patience` seconds.  Who waits
    for a broker that is away is alive.
    """

    def __init__(
        self, file: Path, interval: float = _INTERVAL, patience: float = _PATIENCE
    ) -> None:
        self._file = file
        self._interval = interval
        self._patience = patience
        self._round: float | None = None
        self._thread = threading.Thread(target=self._run, name="liveness", daemon=True)

    def start(self) -> None:
        """Ends the process, with a sentence, when the file cannot be written."""
        try:
            self._file.touch()
        except OSError as error:
            sys.exit(
                f"seqway worker: SEQWAY_HEARTBEAT_FILE: {self._file} cannot be written"
                f" ({error.strerror}): name a file in a folder that can be written to"
            )
        self._thread.start()

    def consumes(self) -> None:
        """The loop has come round."""
        self._round = time.monotonic()

    def waits(self) -> None:
        """The consumer has no connection, or is being stopped: it has no loop for now."""
        self._round = None

    @property
    def lives(self) -> bool:
        """Whether the loop comes round, or there is none."""
        last = self._round
        return last is None or time.monotonic() - last < self._patience

    def _run(self) -> None:
        while True:
            if self.lives:
                self._touch()
            time.sleep(self._interval)

    def _touch(self) -> None:
        try:
            self._file.touch()
        except OSError:
            return  # a full disk: the file grows old, and the probe tells
