"""The most probable tokens of a step, which stand for the vocabulary where they decide."""

from typing import NamedTuple

import numpy as np

from engine.runtime.decoding.selection import Floats, Ints

MOST_CANDIDATES = 128
"""Of so many tokens at most a session tells."""

SPARE = 16
"""How many more are asked for where a score may be lowered, or equal the last one's."""


class Ranking(NamedTuple):
    """Tokens of one slot, best first, equal ones by id; every other one scores `bound` at most."""

    ids: Ints
    scores: Floats
    bound: float


class Candidates(NamedTuple):
    """The best tokens of slots `[...]` with their logits, best first, equal ones by id.

    `ids`, `logits [...,C]` end in -1 and -inf where the vocabulary does; `totals [...]` are the
    log-sum-exps of all logits.
    """

    ids: Ints
    logits: Floats
    totals: Floats

    def ranking(self, slot: int, scores: Floats) -> Ranking:
        """Those of one slot, with `scores [C]` that fall as their logits do."""
        count = int(np.count_nonzero(self.ids[slot] >= 0))
        bound = float(scores[-1]) if count == scores.size else -np.inf
        return Ranking(self.ids[slot, :count], scores[:count], bound)
