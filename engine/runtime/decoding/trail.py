"""The tokens of one answer with what was noted about each."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from engine.runtime.decoding.selection import Floats, Ints


@dataclass(frozen=True)
class Trail:
    """`tokens`, their `log_probs`, and the source positions `sources` that they attend to most.

    Forced tokens have the log-probability 0: nothing was chosen. `sources` and their `weights` hold
    anything when no alignment was asked for.
    """

    tokens: Ints
    log_probs: Floats
    sources: Ints
    weights: Floats

    @cached_property
    def log_prob(self) -> float:
        """The sum of the log-probabilities."""
        return float(self.log_probs.sum(dtype=np.float64))

    def cut(self, length: int) -> "Trail":
        """The first `length` tokens."""
        return Trail(
            self.tokens[:length],
            self.log_probs[:length],
            self.sources[:length],
            self.weights[:length],
        )


@dataclass(frozen=True)
class ScoredTrail:
    """A whole answer; `score` is what ranks answers."""

    score: float
    trail: Trail


def common_prefix(sequences: list[Ints]) -> int:
    """How many tokens all `sequences` begin with."""
    shortest = min(sequence.size for sequence in sequences)
    if len(sequences) == 1:
        return shortest
    heads: NDArray[np.int64] = np.stack([sequence[:shortest] for sequence in sequences])
    different = (heads != heads[0]).any(axis=0)
    return int(different.argmax()) if different.any() else shortest
