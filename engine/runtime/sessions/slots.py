"""The state of the running rows, as the arrays that a session reads and writes.

Live slots are 0..rows-1, so that one base pointer serves every batch size; a hole is filled with
the last one.  A text has one slot, or one for each of its beams.  N slots, T answer positions.
"""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.contract.manifest import Manifest
from engine.native.library import is_there
from engine.native.rows import NativeRows, RowArrays
from engine.runtime.decoding.candidates import MOST_CANDIDATES, Candidates
from engine.runtime.decoding.repetition import LOOP, MAX_CYCLE, Runs, extend_runs, looping
from engine.runtime.decoding.selection import Floats, Ints, top
from engine.runtime.decoding.strategy import FREE, NEVER
from engine.runtime.decoding.trail import Trail
from engine.runtime.sessions.memory import SlotMemory


class Advance(NamedTuple):
    """What a step, or several, led to.

    `ended` are the slots whose token ends a sequence or is the last one allowed, `looping` those
    whose `watched` answer runs in a loop.
    """

    ended: list[int]
    looping: list[int]
    steps: int = 1


class Slots:
    """Arrays for `capacity` slots; `memory` is where their keys and values lie.

    `inputs [4,N]` are `ids`, `positions`, `source_lengths` and `limits`, for sessions that read all
    of them at once. `history [N,1+T]` holds the start token and what was made since; `sources`,
    `weights [N,T]` are the alignment of each token where `align` was called; `runs` counts
    repetitions, and `watched` are the slots in which a loop matters; `scores` are what beams rank
    by. Of a slot's best tokens a step tells `wanted [N]`, or more, in `candidate_ids`,
    `candidate_logits [N,C]`. `native` moves rows on where native code was built. `columns [N]` are
    the session's: where it had each slot when it last began steps, -1 where it had not.
    """

    def __init__(self, manifest: Manifest, capacity: int, memory: SlotMemory) -> None:
        longest = manifest.max_target_tokens
        self.manifest = manifest
        self.capacity = capacity
        self.memory = memory
        self.rows = 0
        self.inputs: Ints = np.zeros((4, capacity), np.int64)
        self.ids: Ints = self.inputs[0]
        self.positions: Ints = self.inputs[1]
        self.source_lengths: Ints = self.inputs[2]
        self.limits: Ints = self.inputs[3]
        self.history: Ints = np.zeros((capacity, 1 + longest), np.int64)
        self.forced: Ints = np.full((capacity, longest), FREE, np.int64)
        self.token_log_probs: Floats = np.zeros((capacity, longest), np.float32)
        self.sources: Ints = np.zeros((capacity, longest), np.int64)
        self.weights: Floats = np.zeros((capacity, longest), np.float32)
        self.runs: Runs = np.zeros((capacity, MAX_CYCLE), np.int32)
        self.next_ids: Ints = np.zeros(capacity, np.int64)
        self.log_probs: Floats = np.zeros(capacity, np.float32)
        self.scores: Floats = np.zeros(capacity, np.float32)
        self.watched = np.zeros(capacity, np.bool_)
        self.wanted = np.zeros(capacity, np.int32)
        self.columns: Ints = np.full(capacity, -1, np.int64)
        self.candidate_ids: Ints = np.zeros((capacity, MOST_CANDIDATES), np.int64)
        self.candidate_logits: Floats = np.zeros((capacity, MOST_CANDIDATES), np.float32)
        self.native: NativeRows | None = None
        if is_there():
            arrays = {name: getattr(self, name) for name in RowArrays._fields}
            self.native = NativeRows(RowArrays(**arrays), manifest.eos_id, LOOP)
        self._aligns = False
        self._numbers = np.arange(capacity)
        self._per_slot = (
            *(self.ids, self.positions, self.limits, self.source_lengths, self.history),
            *(self.forced, self.token_log_probs, self.sources, self.weights, self.runs),
            *(self.scores, self.watched, self.wanted, self.columns),
        )

    @property
    def tokens(self) -> Ints:
        """What was made, `[N,T]`."""
        return self.history[:, 1:]

    def admit(self, cross: Any, lengths: list[int], limits: list[int]) -> None:
        """Appends one slot for each row of `cross`, which a session's `encode` has returned.

        `lengths` are of the sources; an answer has at most `limits` tokens.
        """
        self.admit_beams(cross, [1] * len(lengths), lengths, limits)

    def admit_beams(
        self, cross: Any, widths: list[int], lengths: list[int], limits: list[int]
    ) -> list[list[int]]:
        """As `admit`, with `widths[i]` slots for row i. Returns the slots of each row."""
        rows = [row for row, width in enumerate(widths) for _ in range(width)]
        first, last = self.rows, self.rows + len(rows)
        assert last <= self.capacity
        self.memory.admit(first, cross, rows)
        self.rows = last
        self.source_lengths[first:last] = [lengths[row] for row in rows]
        self.limits[first:last] = [limits[row] for row in rows]
        self.ids[first:last] = self.history[first:last, 0] = self.manifest.decoder_start_id
        self.positions[first:last] = 0
        self.forced[first:last] = FREE
        self.runs[first:last] = 0
        self.scores[first:last] = NEVER
        self.watched[first:last] = False
        self.wanted[first:last] = 0
        self.columns[first:last] = -1
        slots = iter(range(first, last))
        places = [list(islice(slots, width)) for width in widths]
        for beams in places:
            self.scores[beams[0]] = 0  # the others are like it yet
        return places

    def start(
        self,
        slot: int,
        start_id: int,
        forced: Mapping[int, int],
        *,
        watched: bool = False,
        candidates: int = 0,
    ) -> None:
        """Sets what a slot just admitted starts from and is asked for; `forced` by position."""
        self.ids[slot] = self.history[slot, 0] = start_id
        self.watched[slot] = watched
        self.wanted[slot] = candidates
        for position, token in forced.items():
            self.forced[slot, position] = token

    def past(self, slot: int) -> Ints:
        """The start token of a slot and what it has made since."""
        return self.history[slot, : self.positions[slot] + 1]

    def next_forced(self, slots: Ints) -> Ints:
        """The tokens that slots must make in this step, or `FREE`."""
        forced: Ints = self.forced[slots, self.positions[slots]]
        return forced

    def candidates(self, slots: Sequence[int] | Ints, count: int) -> Candidates:
        """So many of the last step, whose tokens are not taken; the slots want at least these."""
        ids, logits = self.candidate_ids[slots, :count], self.candidate_logits[slots, :count]
        return Candidates(ids, logits, logits[..., 0] - self.log_probs[slots])

    def find_candidates(self, logits: Floats) -> None:
        """Fills them from all logits `[N,V]`, for a session that has no other way."""
        for slot in np.flatnonzero(self.wanted[: self.rows]).tolist():
            ids = top(logits[slot], int(self.wanted[slot]))
            self.candidate_ids[slot] = -1
            self.candidate_logits[slot] = -np.inf
            self.candidate_ids[slot, : ids.size] = ids
            self.candidate_logits[slot, : ids.size] = logits[slot, ids]

    def align(self, slots: Sequence[int], weights: Floats) -> None:
        """Notes what the next token of `slots` attends to most: `weights [n,source]`."""
        self._aligns = True
        rows, positions = np.array(slots), self.positions[slots]
        best = weights.argmax(axis=1)
        self.sources[rows, positions] = best
        self.weights[rows, positions] = weights[np.arange(len(rows)), best]

    def trail(self, slot: int, length: int | None = None) -> Trail:
        """A copy of what a slot has made, or of its first `length` tokens."""
        length = int(self.positions[slot]) if length is None else length
        return Trail(
            self.tokens[slot, :length].copy(),
            self.token_log_probs[slot, :length].copy(),
            self.sources[slot, :length].copy(),
            self.weights[slot, :length].copy(),
        )

    def trail_with(self, slot: int, token: int, log_prob: float) -> Trail:
        """As `trail`, with a token that this step would put after it."""
        place = int(self.positions[slot])
        self.tokens[slot, place] = token
        self.token_log_probs[slot, place] = log_prob
        return self.trail(slot, place + 1)

    def is_last(self, slots: Ints) -> NDArray[np.bool_]:
        """Which slots make the last token that they may in this step."""
        last: NDArray[np.bool_] = self.positions[slots] + 1 >= self.limits[slots]
        return last

    def copy_beams(self, sources: Ints, targets: Ints) -> None:
        """Copies what beams have made over others of the same text, none of which is a source."""
        longest = int(self.positions[sources].max()) + 1
        aligned = (self.sources, self.weights) if self._aligns else ()
        for array in (self.history, self.token_log_probs, *aligned):
            array[targets, :longest] = array[sources, :longest]
        self.runs[targets] = self.runs[sources]

    def copy_caches(self, sources: Ints, targets: Ints) -> None:
        """Likewise their keys and values, those of this step included."""
        self.memory.copy(sources, targets, self.positions[sources] + 1)

    def advance(self) -> Advance:
        """Takes the step's tokens, or those that are forced, as next inputs."""
        if self.native is None:
            advance = self.advance_some(self._numbers[: self.rows])
        else:
            advance = Advance(*self.native.advance(self.rows))
        self.memory.fit(self.positions[: self.rows])
        return advance

    def advance_some(self, live: Ints) -> Advance:
        """As `advance`, of the slots `live`, ascending; others, and memory, stay as they are.

        NumPy takes five times as long as native code for all slots.
        """
        # All of them are a slice, which costs less than a list.
        part = slice(0, live.size) if live.size == self.rows else live
        positions, runs = self.positions[part], self.runs[part]
        forced = self.forced[live, positions]
        free = forced == FREE
        tokens, log_probs = np.where(free, self.next_ids[part], forced), self.log_probs[part]
        after = positions + 1
        self.history[live, after] = tokens
        self.token_log_probs[live, positions] = log_probs * free
        extend_runs(runs, self.history, positions, live)
        runs *= free[:, None]  # a caller may force a loop
        self.ids[part], self.positions[part], self.runs[part] = tokens, after, runs
        done = (tokens == self.manifest.eos_id) | (after >= self.limits[part])
        loops = looping(runs) & self.watched[part]
        return Advance(live[done].tolist(), live[loops].tolist())

    def retire(self, slot: int) -> int:
        """Frees a slot by moving the last one into it. Returns the slot that was moved."""
        last = self.rows - 1
        if slot != last:
            for array in self._per_slot:
                array[slot] = array[last]
            self.memory.move(last, slot, int(self.positions[last]), int(self.source_lengths[last]))
        self.rows = last
        return last

    def shrink(self) -> None:
        """Gives up memory that no live row needs any more."""
        rows = self.rows
        self.memory.shrink(self.positions[:rows], self.source_lengths[:rows])
