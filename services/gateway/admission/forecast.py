"""When a call would be answered, by its length and by what is ahead of it.  No I/O here."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

# The fit: after so many calls, or seconds, e^-1 of what a call taught is left.
_MEMORY_CALLS = 300.0
_MEMORY_SECONDS = 20.0
# About the tokens of the rows that one call has with the engine at a time (`triton_window`): the
# next ones queue up again.
_ROUND_TOKENS = 3000.0
_KILO = 1000.0
# A fit to nothing is 0: before it has seen calls it refuses none.
_RIDGE = 1e-3
_SWEEPS = 3
# Errors count relative to what a call took, but for those that took next to nothing.
_LEAST_SECONDS = 0.1

# The margin: of the calls that are let in so many may take longer than the bound.
_LATE = 0.02
_STEP = 0.15
_LARGEST_MARGIN = 4.0
_QUIET_SECONDS = 5.0
# Calls of unlike lengths err unlike: each class begins at four times the tokens of the one before.
_CLASSES = 8
_SHORT_TOKENS = 16

_Features = tuple[float, float, float]


class Forecast:
    """Fits seconds = base + a * ahead + b * own, over the calls of late.

    `ahead` are the tokens in flight before the call, once for each time that its rows queue up;
    `own` are the tokens of the call.  What a call takes beyond the fit is bounded by a margin;
    each class of lengths has one of its own.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._products = [[0.0] * 3 for _ in range(3)]
        self._targets = [0.0] * 3
        self._fit: _Features = (0.0, 0.0, 0.0)
        self._at = clock()
        self._margins = [_Margin() for _ in range(_CLASSES)]

    def seconds(self, own: int, ahead: int) -> float:
        """The most likely time to an answer."""
        features = _features(own, ahead)
        return sum(weight * feature for weight, feature in zip(self._fit, features, strict=True))

    def bound(self, own: int, ahead: int) -> float:
        """Seconds within which almost all such calls are answered; 0 when nothing is known."""
        return self._margin(own).at(self._clock()) * self.seconds(own, ahead)

    def note(self, own: int, ahead: int, seconds: float) -> None:
        """Learns from a call that took so long, or would have."""
        now = self._clock()
        expected = self.seconds(own, ahead)
        if expected > 0:
            self._margin(own).note(seconds / expected, now)
        self._learn(_features(own, ahead), seconds, now)

    def _learn(self, features: _Features, seconds: float, now: float) -> None:
        """Adds a call to the fit, and forgets a little of those before."""
        kept = (1 - 1 / _MEMORY_CALLS) * math.exp((self._at - now) / _MEMORY_SECONDS)
        self._at = now
        weight = 1 / (_LEAST_SECONDS + seconds) ** 2
        for row, left in enumerate(features):
            self._targets[row] = kept * self._targets[row] + weight * left * seconds
            self._products[row] = [
                kept * product + weight * left * right
                for product, right in zip(self._products[row], features, strict=True)
            ]
        self._fit = _least_squares(self._products, self._targets, self._fit)

    def _margin(self, own: int) -> "_Margin":
        size = math.log(max(1, own) / _SHORT_TOKENS, 4)
        return self._margins[min(_CLASSES - 1, max(0, math.ceil(size)))]


@dataclass
class _Margin:
    """By how much the time of a call may exceed the fit: only `_LATE` of all exceed it by more.

    A quantile by stochastic approximation (Robbins and Monro, 1951).  Without news it is forgotten,
    so that a class of which all calls were refused is tried again.
    """

    value: float = 1.0
    noted: float = 0.0

    def at(self, now: float) -> float:
        silence = max(0.0, now - self.noted - _QUIET_SECONDS)
        return 1.0 + (self.value - 1.0) * math.exp(-silence / _MEMORY_SECONDS)

    def note(self, ratio: float, now: float) -> None:
        current = self.at(now)
        step = _STEP * (1 - _LATE) if ratio > current else -_STEP * _LATE
        self.value = min(max(1.0, current * math.exp(step)), _LARGEST_MARGIN)
        self.noted = now


def _features(own: int, ahead: int) -> _Features:
    rounds = max(1.0, own / _ROUND_TOKENS)
    return 1.0, ahead * rounds / _KILO, own / _KILO


def _least_squares(
    products: list[list[float]], targets: list[float], start: _Features
) -> _Features:
    """The weights, none below 0, by coordinate descent (Franc et al., CAIP 2005).

    It goes on from those of the call before, which are close: a few sweeps a call are enough.
    """
    weights = list(start)
    for _ in range(_SWEEPS):
        for row in range(3):
            others = sum(products[row][each] * weights[each] for each in range(3) if each != row)
            weights[row] = max(0.0, (targets[row] - others) / (products[row][row] + _RIDGE))
    return weights[0], weights[1], weights[2]
