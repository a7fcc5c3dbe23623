"""Runs the two graphs of a variant with ONNX Runtime, the step with bound buffers."""

from collections.abc import Mapping
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.contract.manifest import Manifest
from engine.runtime.decoding.selection import Floats
from engine.runtime.sessions.caches import Caches, States, padded
from engine.runtime.sessions.masks import MASKED, fill_mask
from engine.runtime.sessions.memory import ArrayMemory
from engine.runtime.sessions.onnx_graphs import open_graph
from engine.runtime.sessions.session import Session, with_candidates, without_candidates
from engine.runtime.sessions.slots import Slots


class OnnxSession(Session):
    """See `Session`: the variant in `folder`, on `threads` CPU threads."""

    def __init__(self, folder: Path, manifest: Manifest, threads: int) -> None:
        self.manifest = manifest
        # Both graphs run in one thread of ours, one after the other, so they share no cores.
        quantized = manifest.precision == "int8"
        self._encoder = open_graph(folder / "encoder.onnx", threads, quantized=quantized)
        self._step = open_graph(folder / "decoder_step.onnx", threads, quantized=quantized)
        self._shapes: dict[str, list[Any]] = {
            output.name: output.shape for output in self._step.get_outputs()
        }
        self._start()

    def _start(self) -> None:
        self._binding = self._step.io_binding()
        self._bound: tuple[int, int, frozenset[str]] | None = None
        self._memory: dict[str, Floats] = {}
        self.extra: Mapping[str, Floats] = {}

    def sibling(self) -> "OnnxSession":
        """See `Session`: the same graphs and weights, bindings of its own."""
        twin = copy(self)
        twin._start()
        return twin

    @property
    def outputs(self) -> frozenset[str]:
        """See `Session`."""
        return with_candidates(self._shapes)

    def encode(self, sources: list[list[int]]) -> list[Floats]:
        """See `Session`; returns `cross_key_0 [B,H,S,K]` and so on."""
        width = padded(max(map(len, sources)))
        ids = np.full((len(sources), width), self.manifest.pad_id, dtype=np.int64)
        mask = np.full((len(sources), 1, 1, width), MASKED, dtype=np.float32)
        for row, source in enumerate(sources):
            ids[row, : len(source)] = source
            mask[row, ..., : len(source)] = 0
        outputs: list[Floats] = self._encoder.run(None, {"input_ids": ids, "mask": mask})
        return outputs

    def step(self, slots: Slots, extra: frozenset[str] = frozenset()) -> None:
        """See `Session`."""
        assert isinstance(slots.memory, ArrayMemory)
        extra = without_candidates(extra)
        if self._bound != (slots.rows, slots.memory.geometry, extra):
            self._bind(slots, slots.memory, extra)
        fill_mask(self._self_mask, slots.positions[: slots.rows] + 1)
        fill_mask(self._cross_mask, slots.source_lengths[: slots.rows])
        self._step.run_with_iobinding(self._binding)
        if "logits" in extra:
            slots.find_candidates(self.extra["logits"])

    def slots(self, capacity: int) -> Slots:
        """See `Session`."""
        self._bound = None
        own = States if self.manifest.is_recurrent else Caches
        memory = ArrayMemory(own(self.manifest, capacity), Caches(self.manifest, capacity))
        return Slots(self.manifest, capacity, memory)

    def _bind(self, slots: Slots, memory: ArrayMemory, extra: frozenset[str]) -> None:
        binding, rows = self._binding, slots.rows
        binding.clear_binding_inputs()
        binding.clear_binding_outputs()
        assert isinstance(memory.caches, Caches | States) and isinstance(memory.cross, Caches)
        self._self_mask = np.zeros((rows, 1, 1, memory.caches.length), np.float32)
        self._cross_mask = np.zeros((rows, 1, 1, memory.cross.length), np.float32)
        inputs: dict[str, NDArray[Any]] = {
            "ids": slots.ids,
            "positions": slots.positions,
            "cross_mask": self._cross_mask,
        }
        if isinstance(memory.caches, Caches):
            inputs["self_mask"] = self._self_mask
        inputs |= memory.caches.named("past_") | memory.cross.named("cross_")
        for name, array in inputs.items():
            _bind(binding.bind_input, name, array[:rows])
        # The caches are the very arrays that are read: they are written in place.
        outputs: dict[str, NDArray[Any]]
        outputs = {"next_ids": slots.next_ids, "log_probs": slots.log_probs}
        for name, array in (outputs | memory.caches.named("present_")).items():
            _bind(binding.bind_output, name, array[:rows])
        dimensions = {"B": rows, "S": memory.cross.length}
        self.extra = {name: self._extra(name, dimensions) for name in extra}
        for name, array in self.extra.items():
            _bind(binding.bind_output, name, array)
        self._bound = (rows, memory.geometry, extra)

    def _extra(self, name: str, dimensions: dict[str, int]) -> Floats:
        """An array for an output, in memory that is kept: fresh memory costs page faults."""
        shape = [dimensions.get(size, size) for size in self._shapes[name]]
        size = int(np.prod(shape))
        if name not in self._memory or self._memory[name].size < size:
            self._memory[name] = np.zeros(size, np.float32)
        return self._memory[name][:size].reshape(shape)


def _bind(bind: Any, name: str, array: NDArray[Any]) -> None:
    assert array.flags.c_contiguous, name
    bind(name, "cpu", 0, array.dtype.type, list(array.shape), array.ctypes.data)
