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


def extend_runs(runs: Runs, history: Ints, positions: Ints, rows: Ints) -> None:
    """Counts the tokens that rows just got.

    Args:
        runs: `[N, MAX_CYCLE]`, changed in place; zeros for a row without tokens.
        history: `[M, 1+T]`, contiguous: a start token, and what was made since.
        positions: `[N]`, where the new tokens stand behind the start token.
        rows: `[N]`, which of `history` they are in.

    """
    made = history.reshape(-1)
    places = rows * history.shape[1] + positions + 1
    # What lies before an answer's first token is read, and does not count.
    equal = made.take(places[:, None] - _CYCLES, mode="clip") == made.take(places)[:, None]
    if positions.min(initial=MAX_CYCLE) < MAX_CYCLE:
        equal &= positions[:, None] >= _CYCLES
    runs += 1
    runs *= equal


def looping(runs: Runs) -> NDArray[np.bool_]:
    """Which rows run in a loop, given `runs [N, MAX_CYCLE]`."""
    if runs.max(initial=0) < LOOP_TOKENS:
        return np.zeros(len(runs), np.bool_)
    found: NDArray[np.bool_] = np.any(runs >= LOOP, axis=1)
    return found


def settled(runs: Runs, lengths: Ints) -> Ints:
    """How many tokens of each row stay even if it turns out to loop; never fewer than before."""
    repeated = np.where(runs > _KEPT, runs - _KEPT, 0)
    left: Ints = lengths - repeated.max(axis=1)
    return left
