"""Keys and values of a lane's slots on the device."""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from engine.contract.manifest import Manifest
from engine.runtime.decoding.selection import Ints
from engine.runtime.sessions.caches import padded
from engine.runtime.sessions.torch import kernels
from engine.runtime.sessions.torch.device import TorchDevice
from engine.runtime.sessions.torch.model import TorchModel


class TorchSources(NamedTuple):
    """Encoded sources: `cross [2*layers,B,H,S,K]`, and `allowed [B,V]` with a shortlist."""

    cross: Tensor
    allowed: Tensor | None


class TorchMemory:
    """See `SlotMemory`: memory for the longest rows from the start, since graphs hold addresses.

    `own [P,N,H,L,K]` is of answers, as `DecoderStep` has it, `cross [2*layers,N,H,S,K]` of sources;
    `allowed [N,V]` is where a model has a shortlist.  Moves are queued, and done together before
    anything else reads or writes: `settle` does them.
    """

    def __init__(
        self, model: TorchModel, manifest: Manifest, capacity: int, device: TorchDevice
    ) -> None:
        self._device, self._recurrent = device, model.recurrent
        self._moves: dict[int, int] = {}
        own, cross = _shapes(model, manifest, capacity)
        place, states = model.device, torch.float32
        self.own = torch.zeros(own, dtype=states if model.recurrent else model.dtype, device=place)
        self.cross = torch.zeros(cross, dtype=model.dtype, device=place)
        self.allowed: Tensor | None = None
        if model.shortlist is not None:
            shape = capacity, model.vocabulary
            self.allowed = torch.zeros(shape, dtype=torch.bool, device=place)

    def reset(self) -> None:
        """Begins again with no rows, and zeros."""
        self._moves.clear()
        with self._device.use():
            self.own.zero_()
            self.cross.zero_()

    def settle(self) -> None:
        """Does the moves that wait, each from a slot that no other one writes."""
        if not self._moves:
            return
        sources, targets = self._indices(self._moves.values()), self._indices(self._moves)
        self._moves.clear()
        kernels.copy_rows(self.own, sources, targets, self.own.shape[3])
        kernels.copy_rows(self.cross, sources, targets, self.cross.shape[3])
        if self.allowed is not None:
            self.allowed.index_copy_(0, targets, self.allowed[sources])

    def admit(self, first: int, encoded: TorchSources, rows: Sequence[int]) -> None:
        """See `SlotMemory`."""
        with self._device.use():
            self.settle()
            picked, last = self._indices(rows), first + len(rows)
            width = encoded.cross.shape[3]
            self.cross[:, first:last, :, :width] = encoded.cross.index_select(1, picked)
            if self.allowed is not None and encoded.allowed is not None:
                self.allowed[first:last] = encoded.allowed[picked]

    def fit(self, _positions: Ints) -> None:
        """See `SlotMemory`: there is room."""

    def copy(self, sources: Ints, targets: Ints, lengths: Ints) -> None:
        """See `SlotMemory`; as many positions of each as the longest has."""
        if not lengths.size:
            return
        length = self.own.shape[3] if self._recurrent else int(lengths.max())
        with self._device.use():
            self.settle()
            both = self._device.upload(np.concatenate([sources, targets]))
            kernels.copy_rows(self.own, both[: sources.size], both[sources.size :], length)

    def move(self, source: int, target: int, _length: int, _source_length: int) -> None:
        """See `SlotMemory`.

        Slots are moved from the end, so what a move reads lies behind all that moves write, but for
        a slot that itself waits to be written: then it is read where that comes from.
        """
        self._moves[target] = self._moves.pop(source, source)

    def clear(self, slots: Sequence[int]) -> None:
        """See `SlotMemory`."""
        with self._device.use():
            self.settle()
            places = self._indices(slots)
            self.own.index_fill_(1, places, 0)
            self.cross.index_fill_(1, places, 0)

    def shrink(self, _positions: Ints, _source_lengths: Ints) -> None:
        """See `SlotMemory`: graphs hold the addresses."""

    def _indices(self, slots: Iterable[int]) -> Tensor:
        return self._device.upload(np.fromiter(slots, np.int64))


_STATES = 2
"""How many states a recurrent unit keeps."""


def memory_bytes(model: TorchModel, manifest: Manifest, capacity: int) -> int:
    """What the keys, values and logits of so many slots take on the device."""
    own, cross = _shapes(model, manifest, capacity)
    item = model.dtype.itemsize
    own_item = 4 if model.recurrent else item
    logits = capacity * model.vocabulary * 4
    # On top come the sum of logits and bias, or what orders them, and an encoder's sources before
    # they are admitted.
    return math.prod(own) * own_item + 2 * math.prod(cross) * item + 5 * logits


def _shapes(
    model: TorchModel, manifest: Manifest, capacity: int
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Of `own` and `cross`."""
    layers, heads = len(model.decoder.layers), model.decoder.heads
    width = model.decoder.head
    own: tuple[int, ...] = (
        *(2 * layers, capacity, heads),
        *(padded(manifest.max_target_tokens), width),
    )
    if model.recurrent:
        own = layers, capacity, 1, _STATES, model.width
    source = padded(-(-manifest.max_source_tokens // model.source_parts))
    return own, (2 * layers, capacity, heads, source, width)
