"""Runs a variant with the native code, on the processor."""

import ctypes
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from engine.contract.manifest import Manifest
from engine.native import library as native
from engine.native.model import NativeLane, NativeModel, when_dropped
from engine.runtime.decoding.beam_step import NextBeams
from engine.runtime.decoding.selection import Floats, Ints
from engine.runtime.sessions.interrupt import Interrupt
from engine.runtime.sessions.native_beams import NativeBeamStep
from engine.runtime.sessions.session import Session
from engine.runtime.sessions.slots import Advance, Slots


class NativeText:
    """The cross keys and values of an encoded source."""

    def __init__(self, pointer: int, length: int) -> None:
        self.pointer, self.length = pointer, length
        when_dropped(self, native.library().seqway_text_free, pointer)


class NativeMemory:
    """See `SlotMemory`: rows of the library's caches, which grow by themselves.

    `caches [N]` says which one each slot has, `texts [N]` points to its source, which beams share.
    """

    def __init__(self, lane: int, capacity: int) -> None:
        self.caches = np.arange(capacity, dtype=np.int32)
        self.texts = np.zeros(capacity, np.uint64)
        self._lane = lane
        self._sources: list[NativeText | None] = [None] * capacity

    def longest_source(self, rows: int) -> int:
        """Of the first `rows` slots."""
        return max(text.length for text in self._sources[:rows] if text is not None)

    def admit(self, first: int, encoded: list[NativeText], rows: Sequence[int]) -> None:
        """See `SlotMemory`."""
        for slot, row in enumerate(rows, first):
            self._put(slot, encoded[row])

    def fit(self, _positions: Ints) -> None:
        """See `SlotMemory`."""

    def copy(self, sources: Ints, targets: Ints, lengths: Ints) -> None:
        """See `SlotMemory`."""
        arrays = self.caches[sources], self.caches[targets], lengths.astype(np.int32)
        addresses = map(native.address, arrays)
        native.check(native.library().seqway_copy(self._lane, *addresses, lengths.size))

    def move(self, source: int, target: int, _length: int, _source_length: int) -> None:
        """See `SlotMemory`; nothing is copied."""
        self.caches[source], self.caches[target] = self.caches[target], self.caches[source]
        text = self._sources[source]
        assert text is not None
        self._put(target, text)

    def clear(self, slots: Sequence[int]) -> None:
        """See `SlotMemory`; nothing reads beyond what a row has written."""

    def shrink(self, positions: Ints, _source_lengths: Ints) -> None:
        """See `SlotMemory`: what rows had that have ended is given up."""
        rows = positions.size
        free = self.caches[rows:]
        native.check(native.library().seqway_trim(self._lane, native.address(free), free.size))
        for slot in range(rows, len(self._sources)):
            if self._sources[slot] is None:
                break
            self._sources[slot] = None

    def _put(self, slot: int, text: NativeText) -> None:
        self._sources[slot] = text
        self.texts[slot] = text.pointer


class NativeSession(Session):
    """See `Session`: the variant in `folder`; siblings share its weights."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self._open(NativeModel(folder), manifest)

    def _open(self, model: NativeModel, manifest: Manifest) -> None:
        self.manifest = manifest
        self.extra: Mapping[str, Floats] = {}
        self._model = model
        self._lane = NativeLane(model, 0)
        self._memory: dict[str, Floats] = {}

    def sibling(self) -> "NativeSession":
        """See `Session`: the same weights, a lane of its own."""
        twin = object.__new__(NativeSession)
        twin._open(self._model, self.manifest)
        return twin

    @property
    def outputs(self) -> frozenset[str]:
        """See `Session`."""
        layers = range(self.manifest.decoder_layers)
        names = {"logits", "candidates", *(f"cross_weights_{layer}" for layer in layers)}
        return frozenset(names | ({"suppressed_logits"} if self._model.suppressed.size else set()))

    def slots(self, capacity: int) -> Slots:
        """See `Session`."""
        self._lane = NativeLane(self._model, capacity)
        slots = Slots(self.manifest, capacity, NativeMemory(self._lane.pointer, capacity))
        assert slots.native is not None, "native code is there"
        self._step, self._rows = self._pointers(slots), slots.native
        self._beams = NativeBeamStep(slots, self._model.suppressed.size)
        return slots

    def encode(self, sources: list[list[int]]) -> list[NativeText]:
        """See `Session`; nothing is padded."""
        ids = np.concatenate([np.array(source, np.int32) for source in sources])
        lengths = np.array([len(source) for source in sources], np.int32)
        texts = (ctypes.c_void_p * len(sources))()
        encode = native.library().seqway_encode
        pointers = ids.ctypes.data, lengths.ctypes.data
        native.check(encode(self._lane.pointer, *pointers, len(sources), texts))
        found = zip(texts, lengths.tolist(), strict=True)
        return [NativeText(native.made(pointer), length) for pointer, length in found]

    def step(self, slots: Slots, extra: frozenset[str] = frozenset()) -> None:
        """See `Session`."""
        call = self._step
        call.rows = slots.rows
        weights = self._ask_for(call, extra, slots)
        native.check(native.library().seqway_step(self._lane.pointer, ctypes.byref(call)))
        del weights  # until here it was read

    def logits(self, slot: int) -> Floats:
        """See `Session`; computed again where the step was not asked for them."""
        if "logits" in self.extra:
            return super().logits(slot)
        logits = np.empty(self._model.vocabulary, np.float32)
        place = native.address(logits)
        native.check(native.library().seqway_logits(self._lane.pointer, slot, place))
        return logits

    def join_beams(self, _slots: Slots, beams: Ints, renormalizes: bool) -> NextBeams:
        """See `Session`."""
        return self._beams.join(beams, self.extra.get("suppressed_logits"), renormalizes)

    def run(self, slots: Slots, most: int, seconds: float, interrupt: Interrupt) -> Advance:
        """See `Session`."""
        self._step.rows = self._rows.state.rows = slots.rows
        self._ask_for(self._step, frozenset(), slots)
        pointers = ctypes.byref(self._step), ctypes.byref(self._rows.state)
        run, flag = native.library().seqway_run, interrupt.flag.ctypes.data
        steps: int = run(self._lane.pointer, *pointers, most, seconds, flag)
        native.check(min(steps, 0))
        return Advance(*self._rows.done(), steps)

    def _pointers(self, slots: Slots) -> native.NativeStep:
        """What the library is told of the slots, whose arrays stay where they are."""
        memory, data = slots.memory, native.address
        assert isinstance(memory, NativeMemory)
        return native.NativeStep(
            ids=data(slots.ids),
            positions=data(slots.positions),
            slots=data(memory.caches),
            texts=data(memory.texts),
            next_ids=data(slots.next_ids),
            log_probs=data(slots.log_probs),
            most_candidates=slots.candidate_ids.shape[1],
            wanted=data(slots.wanted),
            candidate_ids=data(slots.candidate_ids),
            candidate_logits=data(slots.candidate_logits),
        )

    def _ask_for(self, call: native.NativeStep, extra: frozenset[str], slots: Slots) -> Any:
        """Has a step give `extra`; the result must live until it has."""
        assert isinstance(slots.memory, NativeMemory)
        rows = slots.rows
        width = slots.memory.longest_source(rows) if extra else 0
        names = extra - {"candidates"}
        self.extra = {name: self._output(name, rows, width) for name in names}
        call.cross_width = width
        call.logits = _data(self.extra.get("logits"))
        call.suppressed_logits = _data(self.extra.get("suppressed_logits"))
        layers = range(self.manifest.decoder_layers)
        weights = [_data(self.extra.get(f"cross_weights_{layer}")) for layer in layers]
        pointers = (ctypes.c_void_p * len(weights))(*weights)
        call.cross_weights = ctypes.addressof(pointers) if any(weights) else None
        return pointers

    def _output(self, name: str, rows: int, width: int) -> Floats:
        """An array for an output, in memory that is kept: fresh memory costs page faults."""
        shape: tuple[int, ...] = (rows, self._model.vocabulary)
        if name == "suppressed_logits":
            shape = (rows, self._model.suppressed.size)
        elif name.startswith("cross_weights_"):
            shape = (rows, self.manifest.decoder_heads, 1, width)
        size = int(np.prod(shape))
        if name not in self._memory or self._memory[name].size < size:
            self._memory[name] = np.zeros(size, np.float32)
        return self._memory[name][:size].reshape(shape)


def _data(array: Floats | None) -> int | None:
    return None if array is None else native.address(array)
