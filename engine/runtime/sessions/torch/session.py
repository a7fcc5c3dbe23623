"""Runs a variant with PyTorch."""

import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from engine.contract.manifest import Manifest
from engine.model.shortlist import Shortlist
from engine.runtime.decoding.beam_step import NextBeams
from engine.runtime.decoding.selection import Floats, Ints
from engine.runtime.sessions.interrupt import Interrupt
from engine.runtime.sessions.session import Session
from engine.runtime.sessions.slots import Advance, Slots
from engine.runtime.sessions.torch.device import TorchDevice
from engine.runtime.sessions.torch.encoder import encode
from engine.runtime.sessions.torch.errors import TorchInputError
from engine.runtime.sessions.torch.lane import TorchLane
from engine.runtime.sessions.torch.memory import TorchSources
from engine.runtime.sessions.torch.model import TorchModel
from engine.runtime.sessions.torch.selection.choices import COUNTS, JOINED_WIDTHS
from engine.runtime.sessions.torch.state import ExpectedBeams
from engine.runtime.sessions.torch.weights import computing_type, load_model, weight_bytes

STEPS = 8
"""Steps that a GPU makes before the host looks: it would wait for the host else."""
_ENCODED_TOGETHER = 1 << 15
"""Tokens; what an encoder holds on its way is some 30 KB for each."""


class TorchSession(Session):
    """See `Session`: the variant in `folder`, on GPU `device`, or on the processor if that is None.

    On a GPU the steps of at most `capacity` slots are captured before this returns.  `steps` are
    made before the host looks; `dtype` is what INT8 products are computed in, and the type of keys
    and values.

    Raises:
        TorchMissingError: PyTorch can't use that GPU.
        TorchMemoryError: it has not enough memory.
        WeightsError: the variant's files are missing or damaged.

    """

    def __init__(
        self,
        folder: Path,
        manifest: Manifest,
        capacity: int,
        device: int | None,
        *,
        steps: int = 0,
        dtype: torch.dtype | None = None,
    ) -> None:
        place = TorchDevice(device)
        dtype = dtype or computing_type(manifest.precision, place.device)
        place.require(weight_bytes(folder, dtype), f"{manifest.name}'s weights")
        with place.use():
            model = load_model(folder, place.device, dtype)
        place.wait()  # other lanes read the weights on streams of their own
        self._open(model, manifest, place, steps, capacity)

    @classmethod
    def over(
        cls, model: TorchModel, manifest: Manifest, capacity: int, device: TorchDevice, steps: int
    ) -> "TorchSession":
        """A session of a model that is on `device`; `steps` 0 is for as many as suit that."""
        session = object.__new__(cls)
        session._open(model, manifest, device, steps, capacity)
        return session

    def _open(
        self,
        model: TorchModel,
        manifest: Manifest,
        device: TorchDevice,
        steps: int,
        capacity: int,
    ) -> None:
        self.manifest = manifest
        self.extra: Mapping[str, Floats] = {}
        self._model, self._device = model, device
        self._steps = steps or (STEPS if device.is_cuda else 1)
        self._stepped = 0
        self._expected: ExpectedBeams | None = None
        self._joined: ExpectedBeams | None = None
        self._capacity = capacity
        self._lane: TorchLane | None = None
        if device.is_cuda:
            self._make_lane(capacity)

    def sibling(self) -> "TorchSession":
        """See `Session`: the same weights, memory and a stream of its own."""
        parts = self._model, self.manifest, self._capacity, self._device.sibling(), self._steps
        return TorchSession.over(*parts)

    def _make_lane(self, capacity: int) -> TorchLane:
        self._lane = None  # gives up its memory first
        lane = TorchLane(self._model, self.manifest, capacity, self._steps, self._device)
        self._lane = lane
        return lane

    @property
    def outputs(self) -> frozenset[str]:
        """See `Session`."""
        layers = range(len(self._model.decoder.layers))
        names = {"logits", "candidates", *(f"cross_weights_{layer}" for layer in layers)}
        some = self._model.suppressed.numel() > 0
        return frozenset(names | ({"suppressed_logits"} if some else set()))

    def slots(self, capacity: int) -> Slots:
        """See `Session`; memory, and graphs, of so many slots are used again."""
        self._stepped = 0
        self._expected = self._joined = None
        lane = self._lane
        if lane is None or lane.capacity != capacity:
            lane = self._make_lane(capacity)
        lane.memory.reset()
        return Slots(self.manifest, capacity, lane.memory)

    def encode(self, sources: list[list[int]]) -> TorchSources:
        """See `Session`.

        Raises:
            TorchInputError: the model does not take a source.

        """
        self._check_sources(sources)
        self._stepped = 0
        width, model = max(map(len, sources)), self._model
        ids = np.zeros((len(sources), width), np.int64)
        for row, source in enumerate(sources):
            ids[row, : len(source)] = source
        lengths = np.array([len(source) for source in sources])
        together = max(1, _ENCODED_TOGETHER // width)
        with self._device.use():
            tokens, sizes = (torch.from_numpy(array).to(model.device) for array in (ids, lengths))
            parts = zip(tokens.split(together), sizes.split(together), strict=True)
            cross = [encode(model, *part).to(model.dtype) for part in parts]
            shortlist = model.shortlist
            allowed = None if shortlist is None else self._allowed(shortlist, sources)
            return TorchSources(torch.cat(cross, dim=1), allowed)

    def step(self, slots: Slots, extra: frozenset[str] = frozenset()) -> None:
        """See `Session`."""
        seen: list[Tensor] | None = None
        if any(name.startswith("cross_weights_") for name in extra):
            seen = []
        count = int(slots.wanted[: slots.rows].max()) if "candidates" in extra else 0
        if not count:
            made, log_probs = self._launch(slots, 1, seen)
            rows = slots.rows
            slots.next_ids[:rows], slots.log_probs[:rows] = made[0, :rows], log_probs[0, :rows]
            self.extra = self._outputs(slots, extra - {"candidates"}, seen or [])
            return
        suppressed = self._choose(slots, next(one for one in COUNTS if one >= count), seen)
        known = {"suppressed_logits": suppressed} if "suppressed_logits" in extra else {}
        if others := extra - {"candidates", "suppressed_logits"}:
            known |= self._outputs(slots, others, seen or [])
        self.extra = known

    def expect_beams(self, beams: Ints, renormalizes: bool) -> None:
        """See `Session`; of several kinds of beams one is joined here, the host joins others."""
        if beams.shape[1] not in JOINED_WIDTHS:
            return
        if self._expected is None or beams.size > self._expected.slots.size:
            self._expected = ExpectedBeams(beams, renormalizes)

    def join_beams(self, _slots: Slots, beams: Ints, renormalizes: bool) -> NextBeams | None:
        """See `Session`."""
        joined = self._joined
        if joined is None or joined.slots is not beams or joined.renormalizes != renormalizes:
            return None
        return self._used.choices.next_beams(*beams.shape)

    def logits(self, slot: int) -> Floats:
        """See `Session`."""
        if slot >= self._stepped:
            raise TorchInputError("the last step had no such row")
        return self._to_host(self._used.state.logits[slot])

    def run(self, slots: Slots, most: int, seconds: float, interrupt: Interrupt) -> Advance:
        """See `Session`; where it makes several steps at once a row that ends waits for the others.

        What a row would make behind its end, or behind the token that makes a loop, is dropped.
        """
        end, steps = time.monotonic() + seconds, 0
        self.extra = {}
        while True:
            left = int((slots.limits - slots.positions)[: slots.rows].max())
            bunch = max(1, min(self._steps, most - steps, left))
            advance = self._take(slots, *self._launch(slots, bunch))
            steps += advance.steps
            stops = advance.ended or advance.looping or steps >= most
            if stops or interrupt.flag[0] or time.monotonic() >= end:
                return advance._replace(steps=steps)

    @property
    def _used(self) -> TorchLane:
        assert self._lane is not None, "slots come first"
        return self._lane

    def _launch(
        self, slots: Slots, steps: int, seen: list[Tensor] | None = None
    ) -> tuple[Ints, Floats]:
        """Makes steps, each with the tokens of the one before: tokens, log-probs `[steps,N]`."""
        with self._device.use():
            self._begin(slots, steps, seen)
            return self._used.state.download(steps)

    def _choose(self, slots: Slots, count: int, seen: list[Tensor] | None) -> Floats:
        """Makes a step with so many candidates, and joins the beams that are expected.

        Returns:
            The logits of suppressed tokens `[rows,n]`, good until the next step.

        """
        lane = self._used
        expected = self._expected
        with self._device.use():
            self._begin(slots, 1, seen, expected)
            lane.select(slots.rows, count)
            if expected is not None:
                texts, width = expected.slots.shape
                lane.join(width, texts)
            suppressed = lane.choices.download(slots, count)
        self._joined = expected
        return suppressed

    def _begin(
        self,
        slots: Slots,
        steps: int,
        seen: list[Tensor] | None,
        expected: ExpectedBeams | None = None,
    ) -> None:
        """Starts so many steps, which nobody waits for yet."""
        lane, rows = self._used, slots.rows
        self._expected = self._joined = None
        position, source = self._check_slots(slots)
        lane.memory.settle()
        lane.state.upload(slots, steps, expected)
        for step in range(steps):
            lane.step(rows, max(position + step + 1, source), seen)
        self._stepped = rows

    def _take(self, slots: Slots, made: Ints, log_probs: Floats) -> Advance:
        """Takes the tokens `[steps,N]` of a bunch, as far as rows go on."""
        live = np.arange(slots.rows)
        ended: list[int] = []
        looping: list[int] = []
        for tokens, values in zip(made, log_probs, strict=True):
            slots.next_ids[live], slots.log_probs[live] = tokens[live], values[live]
            advance = slots.advance_some(live)
            failed = live[~np.isfinite(values[live])].tolist()
            ended += dict.fromkeys([*advance.ended, *failed])
            looping += advance.looping
            live = np.setdiff1d(live, [*ended, *looping], assume_unique=False)
            if not live.size:
                break
        return Advance(sorted(ended), sorted(looping), len(made))

    def _outputs(
        self, slots: Slots, names: frozenset[str], seen: list[Tensor]
    ) -> dict[str, Floats]:
        state, rows = self._used.state, slots.rows
        width = int(slots.source_lengths[:rows].max())
        found = {"logits": state.logits, "suppressed_logits": state.suppressed}
        for layer, weights in enumerate(seen):
            found[f"cross_weights_{layer}"] = weights[:, :, None, :width]
        return {name: self._to_host(found[name][:rows]) for name in names}

    def _to_host(self, tensor: Tensor) -> Floats:
        with self._device.use():
            copy: Floats = tensor.to("cpu", copy=True).numpy()
            return copy

    def _allowed(self, shortlist: Shortlist, sources: list[list[int]]) -> Tensor:
        """Which tokens each answer may hold, `[B,V]`."""
        allowed = np.zeros((len(sources), self._model.vocabulary), np.bool_)
        for row, source in zip(allowed, sources, strict=True):
            row[shortlist.likely(source)] = True
        allowed[:, self._model.suppressed.cpu().numpy()] = False
        return torch.from_numpy(allowed).to(self._model.device)

    def _check_sources(self, sources: list[list[int]]) -> None:
        """What reads beyond a table ends the process on a GPU, so it is found here."""
        longest = min(self._model.max_positions, self.manifest.max_source_tokens)
        for source in sources:
            if not source:
                raise TorchInputError("a source has no tokens")
            if len(source) > longest:
                raise TorchInputError("a source is longer than the model's positions")
            if not 0 <= min(source) <= max(source) < self._model.source_vocabulary:
                raise TorchInputError("a source holds a token that does not exist")

    def _check_slots(self, slots: Slots) -> tuple[int, int]:
        """Likewise of a step's inputs; returns the largest position and source's length."""
        # Negative numbers are the largest ones without a sign.
        largest = slots.inputs[:3, : slots.rows].view(np.uint64).max(axis=1)
        token, position, source = largest.tolist()
        if token >= self._model.vocabulary:
            raise TorchInputError("a slot goes on from a token that does not exist")
        if position >= slots.forced.shape[1]:
            raise TorchInputError("an answer is longer than the model's positions")
        return position, source
