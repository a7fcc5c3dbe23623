"""The state of the running rows, as the arrays that the decoder step is bound to.

Live slots are 0..rows-1, so that one base pointer serves every batch size; a hole is filled with
the last one.  A text has one slot, or one for each of its beams.  N slots, H heads, K head width, L
cache positions, S source positions, T answer positions; L and S follow the longest live row in
steps of `LENGTH_STEP`, so that short rows pay no attention over an empty cache.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.contract.manifest import Manifest
from engine.runtime.decoding.selection import Floats, Ints
from engine.runtime.decoding.trail import MAX_CYCLE, Runs, Trail, extend_runs
from engine.runtime.sessions.caches import LENGTH_STEP, Caches, KeyValueMemory, padded

__all__ = ["LENGTH_STEP", "MASKED", "Floats", "Ints", "Slots", "padded"]

MASKED = np.float32(-1e9)
"""What an additive mask holds where nothing is attended to; finite, so that no row is all NaN."""

_FREE = -1
"""In `forced`: the token is not forced."""


class Slots:
    """Arrays for `capacity` slots. `geometry` changes whenever an array is replaced.

    `history [N,1+T]` holds the start token and what was made since; `sources`, `weights [N,T]` are
    the alignment of each token where `align` was called; `runs` counts repetitions. `caches` and
    `cross` are where keys and values lie, by default in arrays of this process.
    """

    def __init__(
        self,
        manifest: Manifest,
        capacity: int,
        caches: KeyValueMemory | None = None,
        cross: KeyValueMemory | None = None,
    ) -> None:
        longest = manifest.max_target_tokens
        self.manifest = manifest
        self.capacity = capacity
        self.rows = 0
        self.geometry = 0
        self.ids: Ints = np.zeros(capacity, np.int64)
        self.positions: Ints = np.zeros(capacity, np.int64)
        self.limits: Ints = np.zeros(capacity, np.int64)
        self.source_lengths: Ints = np.zeros(capacity, np.int64)
        self.history: Ints = np.zeros((capacity, 1 + longest), np.int64)
        self.forced: Ints = np.full((capacity, longest), _FREE, np.int64)
        self.token_log_probs: Floats = np.zeros((capacity, longest), np.float32)
        self.sources: Ints = np.zeros((capacity, longest), np.int64)
        self.weights: Floats = np.zeros((capacity, longest), np.float32)
        self.runs: Runs = np.zeros((capacity, MAX_CYCLE), np.int32)
        self.next_ids: Ints = np.zeros(capacity, np.int64)
        self.log_probs: Floats = np.zeros(capacity, np.float32)
        self.caches = caches or Caches(manifest, capacity)
        self.cross = cross or Caches(manifest, capacity)
        self._self_mask = self._mask(self.caches.length)
        self._cross_mask = self._mask(self.cross.length)

    @property
    def tokens(self) -> Ints:
        """What was made, `[N,T]`."""
        return self.history[:, 1:]

    @property
    def step_inputs(self) -> dict[str, NDArray[np.generic]]:
        """What the decoder step reads beside keys and values, by name, whole arrays."""
        return {
            "ids": self.ids,
            "positions": self.positions,
            "self_mask": self._self_mask,
            "cross_mask": self._cross_mask,
        }

    @property
    def step_outputs(self) -> dict[str, NDArray[np.generic]]:
        """What the decoder step writes beside the caches."""
        return {"next_ids": self.next_ids, "log_probs": self.log_probs}

    @property
    def source_width(self) -> int:
        """S."""
        return self.cross.length

    def admit(self, cross: Any, lengths: list[int], limits: list[int]) -> None:
        """Appends one slot for each row of `cross`, which a session's `encode` has returned.

        `lengths` are of the sources; an answer has at most `limits` tokens.
        """
        self.admit_beams(cross, [1] * len(lengths), lengths, limits)

    def admit_beams(
        self, cross: Any, widths: list[int], lengths: list[int], limits: list[int]
    ) -> list[list[int]]:
        """As `admit`, with `widths[i]` slots for row i. Returns the slots of each row."""
        first = self.rows
        last = first + sum(widths)
        assert last <= self.capacity
        self.rows = last
        self._resize_source(max(self.cross.length, self.cross.width(cross)))
        rows = np.repeat(np.arange(len(widths)), widths)
        self.cross.store(first, cross, rows)
        self.source_lengths[first:last] = np.array(lengths)[rows]
        self.limits[first:last] = np.array(limits)[rows]
        self._cross_mask[first:last] = MASKED
        for slot in range(first, last):
            self._cross_mask[slot, ..., : self.source_lengths[slot]] = 0
        self._restart(first, last)
        ends = np.cumsum(widths) + first
        return [list(range(end - size, end)) for end, size in zip(ends, widths, strict=True)]

    def _restart(self, first: int, last: int) -> None:
        self.ids[first:last] = self.history[first:last, 0] = self.manifest.decoder_start_id
        self.positions[first:last] = 0
        self.forced[first:last] = _FREE
        self.runs[first:last] = 0
        self._self_mask[first:last] = MASKED
        self._self_mask[first:last, ..., 0] = 0

    def start(self, slot: int, start_id: int, forced: Mapping[int, int]) -> None:
        """Sets the start token of a slot just admitted, and its forced tokens by position."""
        self.ids[slot] = self.history[slot, 0] = start_id
        for position, token in forced.items():
            self.forced[slot, position] = token

    def align(self, slots: Sequence[int], weights: Floats) -> None:
        """Notes what the next token of `slots` attends to most: `weights [n,source]`."""
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

    def copy_beams(self, copies: Sequence[tuple[int, int]]) -> None:
        """Copies beams over others (from, to) of the same text; sources and lengths are equal."""
        for source, target in copies:
            length = int(self.positions[source])
            for array in (self.history, self.token_log_probs, self.sources, self.weights):
                array[target, : length + 1] = array[source, : length + 1]
            self.runs[target] = self.runs[source]
            self.caches.copy(source, target, length + 1)

    def advance(self) -> Ints:
        """Takes the step's tokens, or those that are forced, as next inputs.

        Returns the slots whose token ends a sequence or is the last one allowed, descending.
        """
        rows = self.rows
        live = np.arange(rows)
        positions, runs = self.positions[:rows], self.runs[:rows]
        forced = self.forced[live, positions]
        free = forced == _FREE
        tokens = np.where(free, self.next_ids[:rows], forced)
        self.tokens[live, positions] = tokens
        self.token_log_probs[live, positions] = self.log_probs[:rows] * free
        extend_runs(runs, self.tokens[:rows], positions)
        runs *= free[:, None]  # a caller may force a loop
        self.ids[:rows] = tokens
        positions += 1
        done = (tokens == self.manifest.eos_id) | (positions >= self.limits[:rows])
        longest = int(positions.max()) + 1
        if longest > self.caches.length:
            self._resize_cache(longest)
        alive = live[~done]
        self._self_mask[alive, 0, 0, positions[alive]] = 0
        return np.flatnonzero(done)[::-1]

    def retire(self, slot: int) -> int:
        """Frees a slot by moving the last one into it. Returns the slot that was moved."""
        last = self.rows - 1
        if slot != last:
            per_slot = (
                self.ids,
                self.positions,
                self.limits,
                self.source_lengths,
                self.history,
                self.forced,
                self.token_log_probs,
                self.sources,
                self.weights,
                self.runs,
                self._self_mask,
                self._cross_mask,
            )
            for array in per_slot:
                array[slot] = array[last]
            self.caches.copy(last, slot, int(self.positions[last]))
            self.cross.copy(last, slot, int(self.source_lengths[last]))
        self.rows = last
        return last

    def shrink(self) -> None:
        """Gives up length that no live row needs any more, once it is at least half."""
        longest = int(self.positions[: self.rows].max(initial=0)) + 1
        if padded(longest) * 2 <= self.caches.length:
            self._resize_cache(longest)
        source = padded(int(self.source_lengths[: self.rows].max(initial=1)))
        if source * 2 <= self.cross.length:
            self._resize_source(source)

    def _resize_cache(self, length: int) -> None:
        if self.caches.resize(self.rows, padded(length)):
            self.geometry += 1
            self._self_mask = self._resized_mask(self._self_mask, self.caches.length)

    def _resize_source(self, width: int) -> None:
        if width != self.cross.length and self.cross.resize(self.rows, width):
            self.geometry += 1
            self._cross_mask = self._resized_mask(self._cross_mask, self.cross.length)

    def _mask(self, length: int) -> Floats:
        return np.full((self.capacity, 1, 1, length), MASKED, np.float32)

    def _resized_mask(self, mask: Floats, length: int) -> Floats:
        new = self._mask(length)
        kept = min(length, mask.shape[3])
        new[: self.rows, ..., :kept] = mask[: self.rows, ..., :kept]
        return new
