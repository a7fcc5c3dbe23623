"""When calls come."""

import random
from itertools import accumulate


def poisson(rate: float, count: int, seed: int) -> list[float]:
    """So many moments of a Poisson process, in seconds from its begin; always the same."""
    chance = random.Random(seed)
    return list(accumulate(chance.expovariate(rate) for _ in range(count)))
