"""Finding answers that run in a loop: the same cycle of tokens over and over, without end.

For each cycle length c, 1 to `MAX_CYCLE`, a run counts the last tokens that equal the token c
places before.  Real text repeats words, rows of tables and lines of lists, but has something new in
them within a few repetitions; a loop has not.
"""

import numpy as np
from numpy.typing import NDArray

from engine.runtime.decoding.selection import Ints

MAX_CYCLE = 32
LOOP_TOKENS = 48
"""A loop has at least so many tokens that only repeat, ..."""
LOOP_REPEATS = 4
"""... and its cycle at least so many times in a row after the first."""

_CYCLES = np.arange(1, MAX_CYCLE + 1)
LOOP = np.maximum(LOOP_TOKENS, LOOP_REPEATS * _CYCLES)
"""The run of each cycle length, `[MAX_CYCLE]`, that is a loop."""
_KEPT = np.maximum(3, _CYCLES)
"""How many repeated tokens an answer keeps: of a longer run the rest is held back until it ends."""

Runs = NDArray[np.int32]


def extend_runs(runs: Runs, tokens: Ints, positions: Ints, rows: Ints | None = None) -> None:
    """Counts the tokens that rows just got.

    Args:
        runs: `[N, MAX_CYCLE]`, changed in place; zeros for a row without tokens.
        tokens: `[N, T]`, of which row i has `positions[i] + 1`, the new one included.
        positions: `[N]`, where the new tokens stand.
        rows: `[N]`, which of more `tokens [M, T]` they are in, if it is not the first ones.

    """
    before = positions[:, None] - _CYCLES
    rows = np.arange(len(positions)) if rows is None else rows
    equal = tokens[rows[:, None], np.maximum(before, 0)] == tokens[rows, positions][:, None]
    runs += 1
    runs *= equal & (before >= 0)


def looping(runs: Runs) -> NDArray[np.bool_]:
    """Which rows run in a loop, given `runs [N, MAX_CYCLE]`."""
    found: NDArray[np.bool_] = np.any(runs >= LOOP, axis=1)
    return found


def settled(runs: Runs, lengths: Ints) -> Ints:
    """How many tokens of each row stay even if it turns out to loop; never fewer than before."""
    repeated = np.where(runs > _KEPT, runs - _KEPT, 0)
    left: Ints = lengths - repeated.max(axis=1)
    return left
