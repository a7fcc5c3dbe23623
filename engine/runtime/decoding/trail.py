"""The tokens that a row has made: what was noted about each, and whether they run in a loop.

A loop is the same cycle of tokens over and over, without end.  For each cycle length c, 1 to
`MAX_CYCLE`, a run counts the last tokens that equal the token c places before.  Real text repeats
words, rows of tables and lines of lists, but has something new in them within a few repetitions; a
loop has not.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.runtime.decoding.selection import Floats, Ints

MAX_CYCLE = 32
LOOP_TOKENS = 48
"""A loop has at least so many tokens that only repeat, ..."""
LOOP_REPEATS = 4
"""... and its cycle at least so many times in a row after the first."""

_CYCLES = np.arange(1, MAX_CYCLE + 1)
_LOOP = np.maximum(LOOP_TOKENS, LOOP_REPEATS * _CYCLES)
_KEPT = np.maximum(3, _CYCLES)
"""How many repeated tokens an answer keeps: of a longer run the rest is held back until it ends."""

Runs = NDArray[np.int32]


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

    @property
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


def extend_runs(runs: Runs, tokens: Ints, positions: Ints) -> None:
    """Counts the tokens that rows just got.

    Args:
        runs: `[N, MAX_CYCLE]`, changed in place; zeros for a row without tokens.
        tokens: `[N, T]`, of which row i has `positions[i] + 1`, the new one included.
        positions: `[N]`, where the new tokens stand.

    """
    before = positions[:, None] - _CYCLES
    rows = np.arange(len(positions))
    equal = tokens[rows[:, None], np.maximum(before, 0)] == tokens[rows, positions][:, None]
    runs += 1
    runs *= equal & (before >= 0)


def looping(runs: Runs) -> NDArray[np.bool_]:
    """Which rows run in a loop, given `runs [N, MAX_CYCLE]`."""
    found: NDArray[np.bool_] = np.any(runs >= _LOOP, axis=1)
    return found


def settled(runs: Runs, lengths: Ints) -> Ints:
    """How many tokens of each row stay even if it turns out to loop; never fewer than before."""
    repeated = np.where(runs > _KEPT, runs - _KEPT, 0)
    left: Ints = lengths - repeated.max(axis=1)
    return left
