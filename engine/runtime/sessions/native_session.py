"""Runs a variant with the native code, on the processor."""

import ctypes
import os
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.contract.manifest import Manifest
from engine.native import library as native
from engine.native.weights import read_weights
from engine.runtime.sessions.caches import padded
from engine.runtime.sessions.slots import Floats, Slots

ISA_VARIABLE = "SEQWAY_NATIVE_ISA"
"""The environment variable that names the instruction set to use, for comparisons."""


class NativeModel:
    """A variant's weights, shared by the sessions that use it."""

    def __init__(self, folder: Path) -> None:
        described, self.tensors = read_weights(folder)
        self.vocabulary: int = described["vocabulary"]
        self.suppressed = np.array(described["suppressed_ids"], np.int32)
        self.heads: int = described["decoder_heads"]
        config = native.Config(
            **{
                name: int(described[name])
                for name in native.Config.INTEGERS
                if name != "activation"
            },
            activation=native.ACTIVATIONS.index(described["activation"]),
            epsilon=described["epsilon"],
        )
        call = native.library()
        self.pointer = native.made(
            call.seqway_model_new(
                ctypes.byref(config),
                native.table_of(self.tensors),
                len(self.tensors),
                self.suppressed.ctypes.data,
                self.suppressed.size,
            )
        )
        weakref.finalize(self, call.seqway_model_free, self.pointer)


class NativeText:
    """The cross keys and values of an encoded source."""

    def __init__(self, pointer: int, length: int) -> None:
        self.pointer, self.length = pointer, length

    def __del__(self) -> None:
        native.library().seqway_text_free(self.pointer)


class _Caches:
    """See `KeyValueMemory`: a row's own keys and values, which the library lets grow."""

    def __init__(self, lane: int, length: int) -> None:
        self.length = length
        self._lane = lane

    def resize(self, rows: int, length: int) -> bool:
        """See `KeyValueMemory`."""
        return False

    def width(self, encoded: Any) -> int:
        """See `KeyValueMemory`."""
        return self.length

    def store(self, first: int, encoded: Any, rows: NDArray[np.intp]) -> None:
        """Nothing: a row's own keys and values come with its tokens."""

    def copy(self, source: int, target: int, length: int) -> None:
        """See `KeyValueMemory`."""
        native.check(native.library().seqway_copy(self._lane, source, target, length))


class _Texts:
    """See `KeyValueMemory`: which encoded source each slot attends to; beams share theirs."""

    def __init__(self, capacity: int, length: int) -> None:
        self.length = length
        self.pointers = np.zeros(capacity, np.uint64)
        self._texts: list[NativeText | None] = [None] * capacity

    def resize(self, rows: int, length: int) -> bool:
        """See `KeyValueMemory`."""
        return False

    def width(self, encoded: list[NativeText]) -> int:
        """See `KeyValueMemory`."""
        return self.length

    def store(self, first: int, encoded: list[NativeText], rows: NDArray[np.intp]) -> None:
        """See `KeyValueMemory`."""
        for slot, row in enumerate(rows.tolist(), first):
            self._put(slot, encoded[row])

    def copy(self, source: int, target: int, length: int) -> None:
        """See `KeyValueMemory`."""
        text = self._texts[source]
        assert text is not None
        self._put(target, text)

    def widest(self, rows: int) -> int:
        """The longest source of the first `rows` slots."""
        return max(text.length for text in self._texts[:rows] if text is not None)

    def _put(self, slot: int, text: NativeText) -> None:
        self._texts[slot] = text
        self.pointers[slot] = text.pointer


class NativeSession:
    """See `Session`: a variant with native weights, its model shared by all siblings."""

    def __init__(self, folder: Path, manifest: Manifest, model: NativeModel | None = None) -> None:
        self.manifest = manifest
        self.extra: Mapping[str, Floats] = {}
        self._folder = folder
        self._model = model or NativeModel(folder)
        self._lane = 0
        self._memory: dict[str, Floats] = {}
        self._slot_numbers = np.zeros(0, np.int32)

    def sibling(self) -> "NativeSession":
        """See `Session`: the same weights, a lane of its own."""
        return NativeSession(self._folder, self.manifest, self._model)

    @property
    def outputs(self) -> frozenset[str]:
        """See `Session`."""
        names = {f"cross_weights_{layer}" for layer in range(self.manifest.decoder_layers)}
        if self._model.suppressed.size:
            names.add("suppressed_logits")
        return frozenset(names | {"logits", "all_log_probs"})

    def slots(self, capacity: int) -> Slots:
        """See `Session`."""
        self._open(capacity)
        caches = _Caches(self._lane, padded(self.manifest.max_target_tokens + 1))
        self._texts = _Texts(capacity, padded(self.manifest.max_source_tokens))
        self._slot_numbers = np.arange(capacity, dtype=np.int32)
        return Slots(self.manifest, capacity, caches, self._texts)

    def encode(self, sources: list[list[int]], width: int) -> list[NativeText]:
        """See `Session`; nothing is padded."""
        if not self._lane:
            self._open(0)
        ids = np.concatenate([np.array(source, np.int32) for source in sources])
        lengths = np.array([len(source) for source in sources], np.int32)
        pointers = (ctypes.c_void_p * len(sources))()
        native.check(
            native.library().seqway_encode(
                self._lane, ids.ctypes.data, lengths.ctypes.data, len(sources), pointers
            )
        )
        found = zip(pointers, lengths.tolist(), strict=True)
        return [NativeText(native.made(pointer), length) for pointer, length in found]

    def step(self, slots: Slots, extra: frozenset[str] = frozenset()) -> None:
        """See `Session`."""
        rows = slots.rows
        width = self._texts.widest(rows) if extra else 0
        self.extra = {name: self._output(name, rows, width) for name in extra}
        call = native.Step(
            rows=rows,
            cross_width=width,
            ids=slots.ids.ctypes.data,
            positions=slots.positions.ctypes.data,
            slots=self._slot_numbers.ctypes.data,
            texts=self._texts.pointers.ctypes.data,
            next_ids=slots.next_ids.ctypes.data,
            log_probs=slots.log_probs.ctypes.data,
        )
        if "all_log_probs" in extra or "logits" in extra:
            logits = self._output("logits", rows, width)
            call.logits = logits.ctypes.data
        if "suppressed_logits" in extra:
            call.suppressed_logits = self.extra["suppressed_logits"].ctypes.data
        weights = self._cross_weights()
        if weights is not None:
            call.cross_weights = ctypes.cast(weights, ctypes.c_void_p)
        native.check(native.library().seqway_step(self._lane, ctypes.byref(call)))
        if "all_log_probs" in extra:
            live = np.arange(rows)
            best = logits[live, slots.next_ids[:rows]]
            total = (best - slots.log_probs[:rows])[:, None]
            np.subtract(logits, total, out=self.extra["all_log_probs"])

    def _cross_weights(self) -> Any:
        """A pointer for each layer whose weights are wanted; None where none are."""
        layers = range(self.manifest.decoder_layers)
        wanted = [self.extra.get(f"cross_weights_{layer}") for layer in layers]
        if all(array is None for array in wanted):
            return None
        pointers = (None if array is None else array.ctypes.data for array in wanted)
        return (ctypes.c_void_p * len(wanted))(*pointers)

    def _output(self, name: str, rows: int, width: int) -> Floats:
        """An array for an output, in memory that is kept: fresh memory costs page faults."""
        shape: tuple[int, ...] = (rows, self._model.vocabulary)
        if name == "suppressed_logits":
            shape = (rows, self._model.suppressed.size)
        elif name.startswith("cross_weights_"):
            shape = (rows, self._model.heads, 1, width)
        size = int(np.prod(shape))
        if name not in self._memory or self._memory[name].size < size:
            self._memory[name] = np.zeros(size, np.float32)
        return self._memory[name][:size].reshape(shape)

    def _open(self, capacity: int) -> None:
        """Opens a lane, in place of the one before."""
        call, isa = native.library(), os.environ.get(ISA_VARIABLE, "")
        lane = call.seqway_lane_new(self._model.pointer, capacity, isa.encode())
        self._lane = native.made(lane)
        if hasattr(self, "_finalizer"):
            self._finalizer()
        self._finalizer = weakref.finalize(self, _free_lane, self._model, self._lane)


def _free_lane(model: NativeModel, lane: int) -> None:
    """Frees a lane before its model, which the argument keeps until then."""
    native.library().seqway_lane_free(lane)
