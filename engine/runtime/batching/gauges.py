"""What a lane counts."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, fields


@dataclass
class Gauges:
    """All but `running` and `waiting` only grow.

    `calls` are those of the session, each of one step or more.
    `slots_stepped` sums the slots that had rows over the steps.  `wait_seconds` sums the time of
    rows from arrival until they got slots, or ended without; `run_seconds` from then to their end.
    """

    running: int = 0
    waiting: int = 0
    steps: int = 0
    calls: int = 0
    tokens: int = 0
    slots_stepped: int = 0
    wait_seconds: float = 0.0
    run_seconds: float = 0.0
    first_token_seconds: deque[float] = field(default_factory=lambda: deque(maxlen=4096))


def total(gauges: Iterable[Gauges]) -> Gauges:
    """The sums, without first-token times."""
    summed, every = Gauges(), list(gauges)
    for each in fields(Gauges):
        if each.name != "first_token_seconds":
            setattr(summed, each.name, sum(getattr(one, each.name) for one in every))
    return summed
