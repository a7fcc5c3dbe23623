"""The state of the running rows, as the arrays that the decoder step is bound to.

Live rows stand in slots 0..rows-1, so that one base pointer serves every batch size; a hole is
filled with the last row.  N slots, H heads, K head width, L cache positions, S source positions; L
and S follow the longest live row in steps of `LENGTH_STEP`, so that short rows pay no attention
over an empty cache.
"""

import numpy as np
from numpy.typing import NDArray

from engine.runtime.manifest import Manifest

LENGTH_STEP = 16

MASKED = np.float32(-1e9)
"""What an additive mask holds where nothing is attended to; finite, so that no row is all NaN."""

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


def padded(length: int) -> int:
    """`length` rounded up to a multiple of `LENGTH_STEP`."""
    return -(-length // LENGTH_STEP) * LENGTH_STEP


class Caches:
    """Keys and values of every decoder layer, `[N,H,length,K]` each: key 0, value 0, key 1, ...

    The arrays are views of memory that is kept: a new length moves the rows within it, since fresh
    memory for every length costs more in page faults than the step itself.  It holds zeros or old
    values, never NaN: a masked position is still multiplied.
    """

    def __init__(self, manifest: Manifest, capacity: int) -> None:
        self._row = (capacity, manifest.decoder_heads, manifest.head_width)
        self._memory: list[Floats] = [np.zeros(0, np.float32)] * (2 * manifest.decoder_layers)
        self._scratch: Floats = np.zeros(0, np.float32)
        self.length = 0
        self.arrays: list[Floats] = []
        self.resize(0, LENGTH_STEP)

    def resize(self, rows: int, length: int) -> None:
        """Gives the arrays `length` positions; the first `rows` rows keep what they have."""
        capacity, heads, width = self._row
        shape, size = (capacity, heads, length, width), capacity * heads * length * width
        kept = min(self.length, length)
        if size > self._scratch.size:
            self._scratch = np.zeros(size, np.float32)
        saved = self._scratch[: rows * heads * kept * width].reshape(rows, heads, kept, width)
        for index, memory in enumerate(self._memory):
            if rows:
                np.copyto(saved, self.arrays[index][:rows, :, :kept])
            if memory.size < size:
                self._memory[index] = memory = np.zeros(max(size, 2 * memory.size), np.float32)
            view = memory[:size].reshape(shape)
            view[:rows, :, :kept] = saved
            if index < len(self.arrays):
                self.arrays[index] = view
            else:
                self.arrays.append(view)
        self.length = length


class Slots:
    """Arrays for `capacity` rows. `geometry` changes whenever an array is replaced."""

    def __init__(self, manifest: Manifest, capacity: int) -> None:
        self.manifest = manifest
        self.capacity = capacity
        self.rows = 0
        self.geometry = 0
        self.ids: Ints = np.zeros(capacity, np.int64)
        self.positions: Ints = np.zeros(capacity, np.int64)
        self.limits: Ints = np.zeros(capacity, np.int64)
        self.source_lengths: Ints = np.zeros(capacity, np.int64)
        self.scores: NDArray[np.float64] = np.zeros(capacity)
        self.tokens: Ints = np.zeros((capacity, manifest.max_target_tokens), np.int64)
        self.next_ids: Ints = np.zeros(capacity, np.int64)
        self.log_probs: Floats = np.zeros(capacity, np.float32)
        self._caches = Caches(manifest, capacity)
        self._cross = Caches(manifest, capacity)
        self._self_mask = self._mask(LENGTH_STEP)
        self._cross_mask = self._mask(LENGTH_STEP)

    @property
    def step_inputs(self) -> dict[str, NDArray[np.generic]]:
        """What the decoder step reads, by the graph's names, whole arrays."""
        inputs: dict[str, NDArray[np.generic]] = {
            "ids": self.ids,
            "positions": self.positions,
            "self_mask": self._self_mask,
            "cross_mask": self._cross_mask,
        }
        inputs |= _named("past_{}_{}", self._caches.arrays)
        inputs |= _named("cross_{}_{}", self._cross.arrays)
        return inputs

    @property
    def step_outputs(self) -> dict[str, NDArray[np.generic]]:
        """What the decoder step writes; the caches are the very arrays that it reads."""
        outputs: dict[str, NDArray[np.generic]] = {
            "next_ids": self.next_ids,
            "log_probs": self.log_probs,
        }
        return outputs | _named("present_{}_{}", self._caches.arrays)

    def admit(self, cross: list[Floats], lengths: list[int], limits: list[int]) -> None:
        """Appends rows: their cross keys and values `[B,H,S,K]`, source lengths, token limits."""
        first, last = self.rows, self.rows + len(lengths)
        assert last <= self.capacity
        self.rows = last
        self._resize_source(max(self._cross.length, cross[0].shape[2]))
        width = cross[0].shape[2]
        for array, new in zip(self._cross.arrays, cross, strict=True):
            array[first:last, :, :width] = new
        self._cross_mask[first:last] = MASKED
        for slot, length in enumerate(lengths, start=first):
            self._cross_mask[slot, ..., :length] = 0
        self.source_lengths[first:last] = lengths
        self.limits[first:last] = limits
        self.ids[first:last] = self.manifest.decoder_start_id
        self.positions[first:last] = 0
        self.scores[first:last] = 0
        self._self_mask[first:last] = MASKED
        self._self_mask[first:last, ..., 0] = 0

    def advance(self) -> Ints:
        """Takes the step's tokens as next inputs; returns the slots that are done, descending."""
        rows = self.rows
        live = np.arange(rows)
        tokens, positions = self.next_ids[:rows], self.positions[:rows]
        self.tokens[live, positions] = tokens
        self.scores[:rows] += self.log_probs[:rows]
        self.ids[:rows] = tokens
        positions += 1
        done = (tokens == self.manifest.eos_id) | (positions >= self.limits[:rows])
        longest = int(positions.max()) + 1
        if longest > self._caches.length:
            self._resize_cache(longest)
        alive = live[~done]
        self._self_mask[alive, 0, 0, positions[alive]] = 0
        return np.flatnonzero(done)[::-1]

    def retire(self, slot: int) -> int:
        """Frees a slot by moving the last row into it. Returns the slot that was moved."""
        last = self.rows - 1
        if slot != last:
            per_row = (
                self.ids,
                self.positions,
                self.limits,
                self.source_lengths,
                self.scores,
                self.tokens,
            )
            masks = (self._self_mask, self._cross_mask)
            for array in (*per_row, *masks):
                array[slot] = array[last]
            length, source = int(self.positions[last]), int(self.source_lengths[last])
            for cache in self._caches.arrays:
                cache[slot, :, :length] = cache[last, :, :length]
            for cross in self._cross.arrays:
                cross[slot, :, :source] = cross[last, :, :source]
        self.rows = last
        return last

    def shrink(self) -> None:
        """Gives up length that no live row needs any more, once it is at least half."""
        longest = int(self.positions[: self.rows].max(initial=0)) + 1
        if padded(longest) * 2 <= self._caches.length:
            self._resize_cache(longest)
        source = padded(int(self.source_lengths[: self.rows].max(initial=1)))
        if source * 2 <= self._cross.length:
            self._resize_source(source)

    def _resize_cache(self, length: int) -> None:
        self._resize(self._caches, padded(length))
        self._self_mask = self._resized_mask(self._self_mask, padded(length))

    def _resize_source(self, width: int) -> None:
        if width != self._cross.length:
            self._resize(self._cross, width)
            self._cross_mask = self._resized_mask(self._cross_mask, width)

    def _resize(self, caches: "Caches", length: int) -> None:
        self.geometry += 1
        caches.resize(self.rows, length)

    def _mask(self, length: int) -> Floats:
        return np.full((self.capacity, 1, 1, length), MASKED, np.float32)

    def _resized_mask(self, mask: Floats, length: int) -> Floats:
        new = self._mask(length)
        kept = min(length, mask.shape[3])
        new[: self.rows, ..., :kept] = mask[: self.rows, ..., :kept]
        return new


def _named(pattern: str, arrays: list[Floats]) -> dict[str, NDArray[np.generic]]:
    """Names arrays in the order key 0, value 0, key 1, ..."""
    return {
        pattern.format(("key", "value")[index % 2], index // 2): array
        for index, array in enumerate(arrays)
    }
