"""A distribution of seconds, kept as counts."""

import numpy as np
from numpy.typing import NDArray

_LEAST, _DECADES, _OF_DECADE = 1e-5, 9, 240


class SecondsDistribution:
    """Counts over logarithmic bins of 1 %, from 10 us to 10,000 s."""

    def __init__(self) -> None:
        self._counts = np.zeros(_DECADES * _OF_DECADE + 1)

    @property
    def count(self) -> float:
        """How many were added."""
        return float(self._counts.sum())

    def add(self, seconds: NDArray[np.float64], counts: NDArray[np.generic]) -> None:
        """Adds values `[N]`, each so many times."""
        places = np.log10(np.maximum(seconds, _LEAST) / _LEAST) * _OF_DECADE
        bins = np.minimum(places.astype(np.int64), self._counts.size - 1)
        self._counts += np.bincount(bins, weights=counts, minlength=self._counts.size)

    def percentile(self, percent: float) -> float:
        """What so many percent are at most; nan of nothing."""
        if not self.count:
            return float("nan")
        place = np.searchsorted(np.cumsum(self._counts), self.count * percent / 100)
        return float(_LEAST * 10 ** ((place + 0.5) / _OF_DECADE))

    def mean(self) -> float:
        """Their mean; nan of nothing."""
        if not self.count:
            return float("nan")
        middles = _LEAST * 10 ** ((np.arange(self._counts.size) + 0.5) / _OF_DECADE)
        return float((self._counts * middles).sum() / self.count)
