"""A stage of servers, each with a line of its own, in which all wait their turn."""

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]


class Stage:
    """`servers` of which each takes `seconds` for a text; 0 is for a stage that costs nothing.

    Time goes in ticks: what comes in one is served in it, as far as there is time.
    """

    def __init__(self, servers: int, seconds: float) -> None:
        self._seconds = seconds
        self._waiting: Counts = np.zeros(servers, np.int64)
        self._left = np.zeros(servers)
        self.busy = 0.0
        """Seconds of all servers."""

    @property
    def servers(self) -> int:
        """How many there are."""
        return self._waiting.size

    @property
    def waiting(self) -> int:
        """Texts in all lines."""
        return int(self._waiting.sum())

    def serve(self, arrived: Counts, others: Counts, tick: float) -> tuple[Counts, float]:
        """Takes `arrived [servers]`, and serves for a tick; `others` cost as much and go first.

        Returns:
            How many of those that arrived leave each server, and how long these were here, on
            average.

        """
        if not self._seconds:
            return arrived, 0.0
        before = self._waiting
        lines = before + arrived
        time = self._left + tick - others * self._seconds
        served = np.clip((time / self._seconds).astype(np.int64), 0, lines)
        self._waiting = lines - served
        spent = served * self._seconds
        self.busy += float(spent.sum()) + float(others.sum()) * self._seconds
        # What others cost beyond the tick is owed; a server that waits for texts saves no time.
        self._left = np.minimum(time - spent, np.where(self._waiting > 0, self._seconds, 0.0))
        return served, self._delay(before, served, tick)

    def _delay(self, before: Counts, served: Counts, tick: float) -> float:
        """Of those that leave: they waited for all before them, as far as these did not leave."""
        total = int(served.sum())
        if not total:
            return self._seconds
        ahead = (before + served / 2) * self._seconds
        # Where nobody waited they came one by one, spread over the tick.
        few = self._seconds * (1 + served * self._seconds / (2 * tick))
        delays = np.where(before > 0, np.maximum(ahead, few), few)
        return float((delays * served).sum() / total)
