"""When texts come: by a Poisson process, or as they were recorded."""

import json
from pathlib import Path
from typing import Protocol

import numpy as np

from engine.parallel.capacity.errors import CapacityError
from engine.parallel.simulation.stage import Counts, Floats


class Arrivals(Protocol):
    """How many texts come."""

    def counts(self, ticks: int, tick: float) -> Counts:
        """In each tick, `[ticks]`."""
        ...


class PoissonArrivals:
    """At random, so many a second on average (Kingman 1993, "Poisson Processes")."""

    def __init__(self, rate: float, chance: np.random.Generator) -> None:
        self._rate, self._chance = rate, chance

    def counts(self, ticks: int, tick: float) -> Counts:
        """See `Arrivals`."""
        return self._chance.poisson(self._rate * tick, ticks)


class RecordedArrivals:
    """At known moments `[N]`, in seconds from the begin."""

    def __init__(self, moments: Floats) -> None:
        self._moments = moments

    def counts(self, ticks: int, tick: float) -> Counts:
        """See `Arrivals`; what comes later is left out."""
        places = (self._moments / tick).astype(np.int64)
        return np.bincount(places[places < ticks], minlength=ticks)


def read_moments(path: Path) -> Floats:
    """The moments of a JSON list of seconds.

    Raises:
        CapacityError: the file can't be read, or holds none.

    """
    try:
        found = np.array(json.loads(path.read_text(encoding="utf-8")), float)
    except (OSError, ValueError, TypeError) as error:
        raise CapacityError(f"--arrivals {path} can't be read: {error}.") from error
    if found.ndim != 1 or not found.size or not np.isfinite(found).all() or found.min() < 0:
        raise CapacityError(
            f"--arrivals {path} has to hold a JSON list of seconds, from 0 on, with one or more."
        )
    return np.sort(found)
