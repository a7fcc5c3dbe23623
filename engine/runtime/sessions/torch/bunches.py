"""Greedy steps in bunches: the device makes the next one while the host takes the last one's."""

import time

import numpy as np
from numpy.typing import NDArray

from engine.runtime.decoding.selection import Floats, Ints
from engine.runtime.sessions.interrupt import Interrupt
from engine.runtime.sessions.slots import Advance, Slots
from engine.runtime.sessions.torch.lane import TorchLane
from engine.runtime.sessions.torch.state import MadeTokens


class Bunches:
    """Runs rows that take the most probable tokens on `lane`, at most so many `steps` at once.

    A bunch goes on from the tokens that the one before it made on the device.  Of recurrent units
    there is none ahead: the states that a row would go on from are overwritten by then, should
    another kind of step come first.
    """

    def __init__(self, lane: TorchLane, steps: int) -> None:
        self.lane, self._steps = lane, steps
        self._looks_ahead = steps > 1 and not lane.recurrent
        self._ahead: MadeTokens | None = None

    def forget(self) -> None:
        """Drops what was made ahead: the next steps are of what the slots say."""
        if self._ahead is not None:
            self._ahead.wait()  # it reads what the host writes next
            self._ahead = None

    def run(self, slots: Slots, most: int, seconds: float, interrupt: Interrupt) -> Advance:
        """See `Session.run`.

        A row that ends waits for the others of its bunch, and takes no part in the next one, which
        is begun already.  What a row would make behind its end, or behind the token that makes a
        loop, is dropped.
        """
        end, steps = time.monotonic() + seconds, 0
        ended: list[int] = []
        looping: list[int] = []
        is_live, waits = np.ones(slots.rows, np.bool_), np.ones(slots.rows, np.bool_)
        while True:
            bunch = self._ahead or self._begin(slots, min(self._steps, most - steps))
            assert bunch is not None, "each row may make another token"
            columns = slots.columns[: slots.rows].copy()
            self._ahead = None
            if self._looks_ahead:
                # Rows that are new have their first token timed, so it is not made among others.
                size = min(self._steps, most) if (columns < 0).any() else self._steps
                self._ahead = self._begin(slots, size, bunch.steps)
            took = _take(slots, is_live, columns, *bunch.wait())
            ended += took.ended
            looping += took.looping
            steps += bunch.steps
            waits &= columns < 0
            if waits.any():
                continue
            stops = ended or looping or steps >= most
            if stops or interrupt.flag[0] or time.monotonic() >= end:
                return Advance(sorted(ended), sorted(looping), steps)

    def _begin(self, slots: Slots, most: int, after: int = 0) -> MadeTokens | None:
        """Begins at most so many steps, `after` those of the bunch before; None: all rows end."""
        rows = slots.rows
        made = after * (slots.columns[:rows] >= 0)
        left = int((slots.limits[:rows] - slots.positions[:rows] - made).max())
        if left <= 0:
            return None
        steps = min(most, left)
        self.lane.make(slots, steps, after=after)
        return self.lane.state.download(steps)


def _take(
    slots: Slots, is_live: NDArray[np.bool_], columns: Ints, made: Ints, log_probs: Floats
) -> Advance:
    """Takes the tokens `[steps,N]` of slots at their `columns`, as far as they go on.

    Of the slots `is_live [rows]` are those that go on; who ends here does not any more.
    """
    live = np.flatnonzero(is_live & (columns >= 0))
    ended: list[int] = []
    looping: list[int] = []
    for tokens, values in zip(made, log_probs, strict=True):
        if not live.size:
            break
        places = columns[live]
        slots.next_ids[live], slots.log_probs[live] = tokens[places], values[places]
        advance = slots.advance_some(live) if live.size < slots.rows else slots.advance()
        failed = live[~np.isfinite(values[places])].tolist()
        ended += dict.fromkeys([*advance.ended, *failed])
        looping += advance.looping
        is_live[ended], is_live[looping] = False, False
        live = live[is_live[live]]
    return Advance(ended, looping, len(made))
