"""What a lane's slots tell a device before steps, and what these tell the host: fixed arrays.

N slots, T steps that are made without the host, V tokens.
"""

import numpy as np
import torch
from torch import Tensor

from engine.runtime.decoding.selection import Floats, Ints
from engine.runtime.decoding.strategy import FREE
from engine.runtime.sessions.slots import Slots
from engine.runtime.sessions.torch import kernels
from engine.runtime.sessions.torch.device import TorchDevice
from engine.runtime.sessions.torch.model import TorchModel

_IDS, _POSITIONS, _SOURCES, _LIMITS, _DONE, _STEP, _FORCED = range(7)
"""Rows of the array that is uploaded at once; forced tokens have a row for each step."""


class LaneState:
    """Inputs, and outputs `tokens`, `log_probs [T,N]`, `logits [N,V]`, `suppressed [N,n]`.

    A row that is done, as those behind the live ones are, makes the same step again and again:
    graphs are of fixed sizes.
    """

    def __init__(self, model: TorchModel, capacity: int, steps: int, device: TorchDevice) -> None:
        self._model, self._device = model, device
        place = model.device
        self._host = torch.zeros(_FORCED + steps, capacity, dtype=torch.int64)
        self._made = torch.zeros(steps, capacity, dtype=torch.int64)
        self._values = torch.zeros(steps, capacity)
        if device.is_cuda:
            self._host, self._made = self._host.pin_memory(), self._made.pin_memory()
            self._values = self._values.pin_memory()
        self._input: Ints = self._host.numpy()
        self._ints = torch.zeros_like(self._host, device=place)
        self._step = self._ints[_STEP, :1]
        self.tokens = torch.zeros(steps, capacity, dtype=torch.int64, device=place)
        self.log_probs = torch.zeros(steps, capacity, device=place)
        self.logits = torch.zeros(capacity, model.vocabulary, device=place)
        self.suppressed = torch.zeros(capacity, model.suppressed.numel(), device=place)

    def inputs(self, rows: int) -> tuple[Tensor, Tensor, Tensor]:
        """Tokens, positions and source lengths of the first rows, `[rows]` each."""
        return self._ints[_IDS, :rows], self._ints[_POSITIONS, :rows], self._ints[_SOURCES, :rows]

    def upload(self, slots: Slots, steps: int) -> None:
        """Tells of the live slots, for at most so many steps."""
        rows, host = slots.rows, self._input
        host[:, rows:] = 0
        host[_SOURCES, rows:] = host[_DONE, rows:] = 1
        host[_IDS, :rows] = slots.ids[:rows]
        host[_POSITIONS, :rows] = slots.positions[:rows]
        host[_SOURCES, :rows] = slots.source_lengths[:rows]
        host[_LIMITS, :rows] = slots.limits[:rows]
        host[_DONE : _STEP + 1, :rows] = 0
        # Behind its limit a row is done: any token will do.
        last = slots.forced.shape[1] - 1
        for step in range(steps):
            places = np.minimum(slots.positions[:rows] + step, last)
            host[_FORCED + step, :rows] = slots.forced[np.arange(rows), places]
        self._ints.copy_(self._host, non_blocking=True)

    def rest(self) -> None:
        """Has no row live: a step then computes what nobody looks at, and no row moves on."""
        with self._device.use():
            self._ints.zero_()
            self._ints[_SOURCES] = 1
            self._ints[_DONE] = 1

    def restart(self) -> None:
        """Makes the next step the first one again, of rows that are as they are."""
        with self._device.use():
            self._step.zero_()

    def take(self, x: Tensor, rows: int, allowed: Tensor | None, eos_id: int) -> None:
        """Makes logits of what the head reads, `x [rows,D]`, and inputs of the best tokens."""
        model, logits = self._model, self.logits[:rows]
        kernels.logits_into(logits, x, model.decoder.last)
        if allowed is not None:
            logits.masked_fill_(~allowed[:rows], -torch.inf)
        if model.suppressed.numel():
            self.suppressed[:rows] = logits.index_select(1, model.suppressed)
            logits.index_fill_(1, model.suppressed, -torch.inf)
        best, log_probs = kernels.choose(logits)
        self._feed(best, log_probs, rows, eos_id)

    def _feed(self, best: Tensor, log_probs: Tensor, rows: int, eos_id: int) -> None:
        ints = self._ints[:, :rows]
        forced = ints[_FORCED:].index_select(0, self._step)[0]
        tokens = torch.where(forced == FREE, best, forced)
        self.tokens[:, :rows].index_copy_(0, self._step, tokens[None])
        self.log_probs[:, :rows].index_copy_(0, self._step, log_probs[None])
        ends = (tokens == eos_id) | (ints[_POSITIONS] + 1 >= ints[_LIMITS]) | ~log_probs.isfinite()
        goes_on = (ints[_DONE] == 0) & ~ends
        ints[_IDS] = torch.where(goes_on, tokens, ints[_IDS])
        ints[_POSITIONS] += goes_on
        ints[_DONE] = ~goes_on
        self._step += 1

    def download(self, steps: int) -> tuple[Ints, Floats]:
        """Tokens and log-probabilities `[steps,N]`; waits for the device."""
        self._made[:steps].copy_(self.tokens[:steps], non_blocking=True)
        self._values[:steps].copy_(self.log_probs[:steps], non_blocking=True)
        self._device.wait()
        return self._made[:steps].numpy(), self._values[:steps].numpy()
