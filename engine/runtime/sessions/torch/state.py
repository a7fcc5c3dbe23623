"""What a lane's slots tell a device before steps, and what these tell the host: fixed arrays.

N slots, T steps that are made without the host, V tokens.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from engine.runtime.decoding.selection import Floats, Ints
from engine.runtime.decoding.strategy import FREE
from engine.runtime.sessions.slots import Slots
from engine.runtime.sessions.torch import kernels
from engine.runtime.sessions.torch.device import TorchDevice
from engine.runtime.sessions.torch.model import TorchModel
from engine.runtime.sessions.torch.selection.beams import BeamTable
from engine.runtime.sessions.torch.selection.records import Records, ToldRecords

_IDS, _POSITIONS, _SOURCES, _LIMITS, _DONE, _STEP = range(6)  # the first as `Slots.inputs`
_BEAMS, _BEAM_SCORES, _BEAM_FORCED, _BEAM_LAST, _RENORMALIZES, _COLUMNS, _FORCED = range(6, 13)
"""Rows of the array that is uploaded at once; forced tokens have a row for each step.

Beams are in the order of their texts, and the values of a text stand where its first beam is.
"""

_TURNS = 2
"""Bunches of steps that are begun and not taken by the host yet."""


class ExpectedBeams(NamedTuple):
    """The slots `[n,k]` of beams that are joined after a step. See `Session.expect_beams`."""

    slots: Ints
    renormalizes: bool


class LaneState:
    """Inputs, and outputs `made` (`tokens`, `log_probs [T,N]`), `logits [N,V]`, `suppressed [N,n]`.

    A row that is done, as those behind the live ones are, makes the same step again and again:
    graphs are of fixed sizes.  What the host writes and reads is there twice: while it takes the
    tokens of some steps the device makes the next ones.
    """

    def __init__(self, model: TorchModel, capacity: int, steps: int, device: TorchDevice) -> None:
        self._model, self._device = model, device
        self.vocabulary = model.vocabulary
        place = model.device
        shape, self._turn = (_FORCED + steps, capacity), 0
        self._hosts = [device.pinned(torch.zeros(shape, dtype=torch.int64)) for _ in range(_TURNS)]
        self._written: list[Ints] = [host.numpy() for host in self._hosts]
        self._numbers = np.arange(max(steps, capacity))
        self._ints = torch.zeros(shape, dtype=torch.int64, device=place)
        self._arrived = torch.zeros_like(self._ints)
        self._step = self._ints[_STEP, :1]
        fields = {"tokens": (torch.int64, capacity), "log_probs": (torch.float32, capacity)}
        self.made = Records(fields, steps, device)
        self._told = [ToldRecords(self.made, device) for _ in range(_TURNS)]
        self.logits = torch.zeros(capacity, model.decoder.last.width, device=place)
        self.suppressed = torch.zeros(capacity, model.suppressed.numel(), device=place)

    def inputs(self, rows: int) -> tuple[Tensor, Tensor, Tensor]:
        """Tokens, positions and source lengths of the first rows, `[rows]` each."""
        return self._ints[_IDS, :rows], self._ints[_POSITIONS, :rows], self._ints[_SOURCES, :rows]

    def beams(self, texts: int, width: int) -> BeamTable:
        """Those that the host tells of, in order."""
        table = self._ints[:, : texts * width].view(-1, texts, width)
        scores = self._ints[_BEAM_SCORES].view(torch.float32)[: texts * width].view(texts, width)
        forced, is_last = table[_BEAM_FORCED, :, 0], table[_BEAM_LAST, :, 0]
        return BeamTable(table[_BEAMS], scores, forced, is_last, self._ints[_RENORMALIZES, :1])

    def upload(
        self, slots: Slots, steps: int, beams: ExpectedBeams | None = None, after: int = 0
    ) -> None:
        """Tells of the live slots, for at most so many steps.

        Where `after` is not 0, rows that have a column among the last steps, `after` of them, go on
        from what these will have made.
        """
        self._turn = (self._turn + 1) % _TURNS
        rows, host = slots.rows, self._written[self._turn]
        if rows < host.shape[1]:
            host[:_BEAMS, rows:] = host[_FORCED:, rows:] = 0
            host[_SOURCES, rows:] = host[_DONE, rows:] = 1
        host[: _LIMITS + 1, :rows] = slots.inputs[:, :rows]
        host[_DONE : _STEP + 1, :rows] = 0
        positions, columns = slots.positions[:rows], slots.columns[:rows]
        if after:
            positions = positions + after * (columns >= 0)
            host[_COLUMNS, :rows], host[_COLUMNS, rows:] = columns, -1
        # Behind its limit a row is done: any token will do.
        last = slots.forced.shape[1] - 1
        places = np.minimum(positions + self._numbers[:steps, None], last)
        host[_FORCED : _FORCED + steps, :rows] = slots.forced[self._numbers[:rows], places]
        if beams is not None:
            _tell_beams(host, slots, beams)
        self._send(self._hosts[self._turn], is_continued=after > 0)
        columns[:] = self._numbers[:rows]

    def _send(self, host: Tensor, *, is_continued: bool) -> None:
        """Begins to copy what the host has written, but for the state of rows that go on."""
        if not is_continued:
            self._ints.copy_(host, non_blocking=True)
            return
        self._arrived.copy_(host, non_blocking=True)
        columns, moving = self._arrived[_COLUMNS], slice(_IDS, _DONE + 1)
        made = self._ints[moving].index_select(1, columns.clamp(min=0))
        self._arrived[moving] = torch.where(columns >= 0, made, self._arrived[moving])
        self._ints.copy_(self._arrived)

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
            self.suppress(rows)
        best, log_probs = self.choose(rows)
        self._feed(best, log_probs, rows, eos_id)

    def suppress(self, rows: int) -> None:
        """Has suppressed tokens never be made, and notes what their logits were."""
        logits, suppressed = self.logits[:rows], self._model.suppressed
        self.suppressed[:rows] = logits.index_select(1, suppressed)
        logits.index_fill_(1, suppressed, -torch.inf)

    def choose(self, rows: int) -> tuple[Tensor, Tensor]:
        """See `kernels.choose`."""
        return kernels.choose(self.logits[:rows])

    def select(self, rows: int, count: int) -> tuple[Tensor, Tensor, Tensor]:
        """See `kernels.select`; `count` is at most `vocabulary`."""
        return kernels.select(self.logits[:rows], count)

    def _feed(self, best: Tensor, log_probs: Tensor, rows: int, eos_id: int) -> None:
        ints = self._ints[:, :rows]
        forced = ints[_FORCED:].index_select(0, self._step)[0]
        tokens = torch.where(forced == FREE, best, forced)
        self.made["tokens"][:, :rows].index_copy_(0, self._step, tokens[None])
        self.made["log_probs"][:, :rows].index_copy_(0, self._step, log_probs[None])
        ends = (tokens == eos_id) | (ints[_POSITIONS] + 1 >= ints[_LIMITS]) | ~log_probs.isfinite()
        goes_on = (ints[_DONE] == 0) & ~ends
        ints[_IDS] = torch.where(goes_on, tokens, ints[_IDS])
        ints[_POSITIONS] += goes_on
        ints[_DONE] = ~goes_on
        self._step += 1

    def download(self, steps: int) -> "MadeTokens":
        """Begins to copy the tokens and log-probabilities of these steps."""
        told = self._told[self._turn]
        told.download(steps)
        return MadeTokens(told, steps, self._device)


class MadeTokens:
    """What so many steps make; good until the steps after the next ones are begun."""

    def __init__(self, told: ToldRecords, steps: int, device: TorchDevice) -> None:
        self.steps = steps
        self._told, self._device, self._mark = told, device, device.mark()

    def wait(self) -> tuple[Ints, Floats]:
        """Tokens and log-probabilities `[steps,N]`, when the device has made them."""
        self._device.wait_for(self._mark)
        return self._told["tokens"][: self.steps], self._told["log_probs"][: self.steps]


def _tell_beams(host: Ints, slots: Slots, beams: ExpectedBeams) -> None:
    size, width = beams.slots.size, beams.slots.shape[1]
    places, first = beams.slots.ravel(), beams.slots[:, 0]
    host[_BEAMS, size:] = 0  # a graph may be of more texts: any slot will do
    host[_BEAMS, :size] = places
    scores: Floats = host[_BEAM_SCORES].view(np.float32)
    scores[:size] = slots.scores[places]
    host[_BEAM_FORCED, :size:width] = slots.next_forced(first)
    host[_BEAM_LAST, :size:width] = slots.is_last(first)
    host[_RENORMALIZES, 0] = beams.renormalizes
