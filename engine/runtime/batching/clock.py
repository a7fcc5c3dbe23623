"""How long a thread computes in parts of its code."""

import time


class ThreadClock:
    """Seconds of processor time that its thread spends in `with` blocks."""

    def __init__(self) -> None:
        self._seconds = self._began = 0.0

    def __enter__(self) -> None:
        self._began = time.thread_time()

    def __exit__(self, *_: object) -> None:
        self._seconds += time.thread_time() - self._began

    def take(self) -> float:
        """Begins again from 0."""
        seconds, self._seconds = self._seconds, 0.0
        return seconds
