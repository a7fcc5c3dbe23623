"""Runs a variant with PyTorch."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from engine.contract.manifest import Manifest
from engine.runtime.decoding.beam_step import NextBeams
from engine.runtime.decoding.selection import Floats, Ints
from engine.runtime.sessions.interrupt import Interrupt
from engine.runtime.sessions.session import Session
from engine.runtime.sessions.slots import Advance, Slots
from engine.runtime.sessions.torch.bunches import Bunches
from engine.runtime.sessions.torch.device import TorchDevice
from engine.runtime.sessions.torch.encoder import encode_sources
from engine.runtime.sessions.torch.errors import TorchInputError
from engine.runtime.sessions.torch.lane import TorchLane
from engine.runtime.sessions.torch.memory import TorchSources
from engine.runtime.sessions.torch.model import TorchModel
from engine.runtime.sessions.torch.selection.choices import FEW, JOINED_WIDTHS, MANY
from engine.runtime.sessions.torch.state import ExpectedBeams
from engine.runtime.sessions.torch.weights import computing_type, load_model, weight_bytes

STEPS = 2
"""Steps that a GPU makes before the host looks: who has ended or has come waits for twice as many.

The next ones are begun by then, so these have to take as long as the host needs for their tokens.
"""


@cache
def _asks_weights(extra: frozenset[str]) -> bool:
    """Whether cross-attention is among the outputs."""
    return any(name.startswith("cross_weights_") for name in extra)


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
        self._model, self._device = model, device
        self._steps = steps or (STEPS if device.is_cuda else 1)
        self._begin_anew()
        self._capacity = capacity
        self._bunches: Bunches | None = None
        if device.is_cuda:
            self._make_lane(capacity)

    def sibling(self) -> "TorchSession":
        """See `Session`: the same weights, memory and a stream of its own."""
        parts = self._model, self.manifest, self._capacity, self._device.sibling(), self._steps
        return TorchSession.over(*parts)

    def _make_lane(self, capacity: int) -> None:
        self._bunches = None  # gives up its memory first
        self._bunches = Bunches(self._new_lane(capacity), self._steps)

    def _new_lane(self, capacity: int) -> TorchLane:
        return TorchLane(self._model, self.manifest, capacity, self._steps, self._device)

    def _begin_anew(self) -> None:
        """Nothing of the step before is asked for any more."""
        self.extra: Mapping[str, Floats] = {}
        self._stepped = 0
        self._expected: ExpectedBeams | None = None
        self._joined: ExpectedBeams | None = None

    @property
    def outputs(self) -> frozenset[str]:
        """See `Session`."""
        layers = range(len(self._model.decoder.layers))
        names = {"logits", "candidates", *(f"cross_weights_{layer}" for layer in layers)}
        some = self._model.suppressed.numel() > 0
        return frozenset(names | ({"suppressed_logits"} if some else set()))

    def slots(self, capacity: int) -> Slots:
        """See `Session`; memory, and graphs, of so many slots are used again."""
        self._begin_anew()
        if self._bunches is None or self._used.capacity != capacity:
            self._make_lane(capacity)
        self._used_bunches.forget()
        lane = self._used
        lane.memory.reset()
        return Slots(self.manifest, capacity, lane.memory)

    def encode(self, sources: list[list[int]]) -> TorchSources:
        """See `Session`.

        Raises:
            TorchInputError: the model does not take a source.

        """
        self._check_sources(sources)
        self._stepped = 0
        with self._device.use():
            return self._encode(sources)

    def step(self, slots: Slots, extra: frozenset[str] = frozenset()) -> None:
        """See `Session`."""
        seen: list[Tensor] | None = [] if _asks_weights(extra) else None
        count = int(slots.wanted[: slots.rows].max()) if "candidates" in extra else 0
        if not count:
            lane, rows = self._used, slots.rows
            with self._device.use():
                self._make(slots, seen)
                made, log_probs = lane.state.download(1).wait()
            slots.next_ids[:rows], slots.log_probs[:rows] = made[0, :rows], log_probs[0, :rows]
            self.extra = self._outputs(slots, extra - {"candidates"}, seen or [])
            return
        suppressed = self._choose(slots, FEW if count <= FEW else MANY, seen)
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
        """See `Session`; steps that are begun before `most` or `interrupt` says stop are made."""
        self._begin_anew()
        with self._device.use():
            return self._used_bunches.run(slots, most, seconds, interrupt)

    def _encode(self, sources: list[list[int]]) -> TorchSources:
        return encode_sources(self._model, self._device, sources)

    @property
    def _used(self) -> TorchLane:
        return self._used_bunches.lane

    @property
    def _used_bunches(self) -> Bunches:
        assert self._bunches is not None, "slots come first"
        return self._bunches

    def _make(
        self, slots: Slots, seen: list[Tensor] | None, expected: ExpectedBeams | None = None
    ) -> None:
        """Begins a step of what the slots say."""
        self._used_bunches.forget()
        self._begin_anew()
        self._used.make(slots, 1, seen=seen, beams=expected)
        self._stepped = slots.rows

    def _choose(self, slots: Slots, count: int, seen: list[Tensor] | None) -> Floats:
        """Makes a step with so many candidates, and joins the beams that are expected.

        Returns:
            The logits of suppressed tokens `[rows,n]`, good until the next step.

        """
        lane = self._used
        expected = self._expected
        with self._device.use():
            self._make(slots, seen, expected)
            self._select(slots.rows, count)
            if expected is not None:
                texts, width = expected.slots.shape
                lane.join(width, texts)
            suppressed = lane.choices.download(slots, count)
        self._joined = expected
        return suppressed

    def _select(self, rows: int, count: int) -> None:
        self._used.select(rows, count)

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
