"""What a session has on the device for one lane: memory, state, and the work over both."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from torch import Tensor

from engine.contract.manifest import Manifest
from engine.runtime.sessions.caches import padded
from engine.runtime.sessions.slots import Slots
from engine.runtime.sessions.torch.decoder import DecoderStep
from engine.runtime.sessions.torch.device import TorchDevice
from engine.runtime.sessions.torch.errors import TorchInputError
from engine.runtime.sessions.torch.graphs import Work, WorkGraphs, row_sizes, width_sizes
from engine.runtime.sessions.torch.memory import TorchMemory, memory_bytes
from engine.runtime.sessions.torch.model import TorchModel
from engine.runtime.sessions.torch.selection.choices import COUNTS, JOINED_WIDTHS, LaneChoices
from engine.runtime.sessions.torch.state import ExpectedBeams, LaneState


@dataclass(frozen=True)
class LaneParts:
    """What a lane is made of; each is called as the class that it stands for."""

    memory: Callable[[TorchModel, Manifest, int, TorchDevice], TorchMemory] = TorchMemory
    state: Callable[[TorchModel, int, int, TorchDevice], LaneState] = LaneState
    step: Callable[[TorchModel, Tensor, Tensor, list[Tensor] | None], DecoderStep] = DecoderStep


PARTS = LaneParts()
"""Those of a process that has the whole model."""


class TorchLane:
    """Room for `capacity` slots, and for `steps` steps that are made without the host.

    `select(rows, count)` and `join(width, texts)` follow a step, see `LaneChoices`.

    Raises:
        TorchMemoryError: the device has not so much memory.

    """

    def __init__(
        self,
        model: TorchModel,
        manifest: Manifest,
        capacity: int,
        steps: int,
        device: TorchDevice,
        parts: LaneParts = PARTS,
    ) -> None:
        what = f"{manifest.name} with {capacity} slots"
        device.require(memory_bytes(model, manifest, capacity), what)
        self.capacity, self.recurrent = capacity, model.recurrent
        self._model, self._device, self._eos_id = model, device, manifest.eos_id
        self._parts = parts
        with device.use():
            self.memory = parts.memory(model, manifest, capacity, device)
            self.state = parts.state(model, capacity, steps, device)
            self.choices = LaneChoices(self.state, capacity, manifest.eos_id, device)
            self._longest = max(self.memory.own.shape[3], self.memory.cross.shape[3])
            self._step: Work = self._work
            self.select: Work = self.choices.select
            self.join: Work = self.choices.join
            if device.is_cuda:
                self.capture()

    def capture(self) -> None:
        """Has the work be replayed from now on.  The caller has the device in `use`."""
        rows, widths = row_sizes(self.capacity), width_sizes(self._longest)
        joined = [
            (width, texts)
            for width in JOINED_WIDTHS
            if width <= self.capacity
            for texts in row_sizes(self.capacity // width)
        ]
        common = self.state.rest, self._device, torch.cuda.graph_pool_handle()
        self._step = WorkGraphs(self._work, product(rows, widths), *common)
        self.select = WorkGraphs(self.choices.select, product(rows, COUNTS), *common)
        self.join = WorkGraphs(self.choices.join, joined, *common)

    def make(
        self,
        slots: Slots,
        steps: int,
        *,
        seen: list[Tensor] | None = None,
        beams: ExpectedBeams | None = None,
        after: int = 0,
    ) -> None:
        """Begins so many steps of the live slots, see `LaneState.upload`; `seen` as in `step`.

        Raises:
            TorchInputError: the model does not take what a slot says.

        """
        position, source = self._checked(slots)
        self.memory.settle()
        self.state.upload(slots, steps, beams, after)
        for step in range(steps):
            self.step(slots.rows, max(position + after + step + 1, source), seen)

    def step(self, rows: int, width: int, seen: list[Tensor] | None = None) -> None:
        """A step of the first rows, none of which has more than `width` positions, or attends so.

        Cross-attention goes behind `seen` (see `DecoderStep`), which no graph gives.
        """
        if seen is None:
            self._step(rows, width)
        else:
            self._work(rows, width, seen)

    def _checked(self, slots: Slots) -> tuple[int, int]:
        """The largest position and source's length.

        What reads beyond a table ends the process on a GPU, so it is found here.
        """
        # Negative numbers are the largest ones without a sign.
        largest = slots.inputs[:3, : slots.rows].view(np.uint64).max(axis=1)
        token, position, source = largest.tolist()
        if token >= self._model.vocabulary:
            raise TorchInputError("a slot goes on from a token that does not exist")
        if position >= slots.forced.shape[1]:
            raise TorchInputError("an answer is longer than the model's positions")
        return position, source

    def _work(self, rows: int, width: int, seen: list[Tensor] | None = None) -> None:
        memory, state, width = self.memory, self.state, min(padded(width), self._longest)
        source = padded(-(-width // self._model.source_parts))
        own, cross = memory.own[:, :rows, :, :width], memory.cross[:, :rows, :, :source]
        step = self._parts.step(self._model, own, cross, seen)
        x = step.run(*state.inputs(rows))
        state.take(x, rows, memory.allowed, self._eos_id)
