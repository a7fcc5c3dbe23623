"""What a group does in a steady state: its most texts a second, and latencies at a rate.

A lane's time goes to steps and, between them, to encoding new texts.  With `N` rows of `T` tokens
each, `N = rate * T * step(N) / (1 - rate * encode)` (Little's law: Little 1961,
doi:10.1287/opre.9.3.383).
"""

import math
from dataclasses import dataclass
from functools import cached_property

from engine.parallel.capacity.lengths import LengthDistribution
from engine.parallel.capacity.roofline import PassTimes

ENCODED_TOGETHER = 2048
"""Source tokens that a lane encodes at once (`Limits.encoder_tokens`)."""


@dataclass(frozen=True)
class SteadyGroup:
    """A group with at most `rows` rows, whose texts have `lengths`."""

    times: PassTimes
    rows: int
    lengths: LengthDistribution

    @cached_property
    def encoder_seconds(self) -> float:
        """For a text, of several that are encoded together."""
        source = self.lengths.source
        together = max(1.0, min(self.rows / 4, ENCODED_TOGETHER / source))
        return self.times.encoder_seconds(together, source) / together

    def step_seconds(self, rows: float) -> float:
        """Of so many rows, on average over their answers."""
        lengths = self.lengths
        return self.times.step_seconds(rows, lengths.attended_source, lengths.attended_position)

    @cached_property
    def texts_per_second(self) -> float:
        """The most that the group answers."""
        return max(self._texts_per_second(rows) for rows in _tried(self.rows))

    def _texts_per_second(self, rows: int) -> float:
        steps = self.lengths.target * self.step_seconds(rows)
        return rows / (steps + rows * self.encoder_seconds)

    def running(self, rate: float) -> float:
        """The rows that run on average when `rate` texts come a second; inf: they are too many."""
        busy = rate * self.encoder_seconds
        if busy >= 1:
            return math.inf
        tokens = rate * self.lengths.target / (1 - busy)

        def surplus(rows: float) -> float:
            return tokens * self.step_seconds(max(1.0, rows)) - rows

        if surplus(self.rows) > 0:
            return math.inf
        low, high = 0.0, float(self.rows)
        for _ in range(40):
            middle = (low + high) / 2
            low, high = (middle, high) if surplus(middle) > 0 else (low, middle)
        return high

    def latency(self, rate: float = 0.0) -> float:
        """Seconds for a text of the mean lengths, queues apart; inf where they grow without end."""
        source, target = self.lengths.source, self.lengths.target
        alone = self.times.encoder_seconds(1, source)
        if not rate:
            return alone + target * self.step_seconds(1)
        rows = self.running(rate)
        if math.isinf(rows):
            return math.inf
        step = self.step_seconds(max(1.0, rows)) / (1 - rate * self.encoder_seconds)
        return alone + (target + 0.5) * step


def _tried(most: int) -> list[int]:
    """Numbers of rows up to the most, each twice the one before."""
    return [*(1 << power for power in range(most.bit_length()) if 1 << power < most), most]
