"""Runs the two graphs of a variant with ONNX Runtime, the step with bound buffers."""

from collections.abc import Mapping
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.runtime.manifest import Manifest
from engine.runtime.sessions.caches import Caches, key_value_names
from engine.runtime.sessions.onnx_graphs import open_graph
from engine.runtime.sessions.slots import MASKED, Floats, Slots


class OnnxSession:
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
        return frozenset(self._shapes)

    def encode(self, sources: list[list[int]], width: int) -> list[Floats]:
        """See `Session`; returns `cross_key_0 [B,H,width,K]` and so on."""
        ids = np.full((len(sources), width), self.manifest.pad_id, dtype=np.int64)
        mask = np.full((len(sources), 1, 1, width), MASKED, dtype=np.float32)
        for row, source in enumerate(sources):
            ids[row, : len(source)] = source
            mask[row, ..., : len(source)] = 0
        outputs: list[Floats] = self._encoder.run(None, {"input_ids": ids, "mask": mask})
        return outputs

    def step(self, slots: Slots, extra: frozenset[str] = frozenset()) -> None:
        """See `Session`."""
        if self._bound != (slots.rows, slots.geometry, extra):
            self._bind(slots, extra)
        self._step.run_with_iobinding(self._binding)

    def slots(self, capacity: int) -> Slots:
        """See `Session`."""
        self._bound = None
        return Slots(self.manifest, capacity)

    def _bind(self, slots: Slots, extra: frozenset[str]) -> None:
        binding, rows = self._binding, slots.rows
        binding.clear_binding_inputs()
        binding.clear_binding_outputs()
        assert isinstance(slots.caches, Caches) and isinstance(slots.cross, Caches)
        caches, cross = slots.caches.arrays, slots.cross.arrays
        inputs = slots.step_inputs | _named("past_", caches) | _named("cross_", cross)
        for name, array in inputs.items():
            _bind(binding.bind_input, name, array[:rows])
        # The caches are the very arrays that are read: they are written in place.
        for name, array in (slots.step_outputs | _named("present_", caches)).items():
            _bind(binding.bind_output, name, array[:rows])
        self.extra = {name: self._extra(name, slots) for name in extra}
        for name, array in self.extra.items():
            _bind(binding.bind_output, name, array)
        self._bound = (rows, slots.geometry, extra)

    def _extra(self, name: str, slots: Slots) -> Floats:
        """An array for an output, in memory that is kept: fresh memory costs page faults."""
        dimensions = {"B": slots.rows, "S": slots.source_width}
        shape = [dimensions.get(size, size) for size in self._shapes[name]]
        size = int(np.prod(shape))
        if name not in self._memory or self._memory[name].size < size:
            self._memory[name] = np.zeros(size, np.float32)
        return self._memory[name][:size].reshape(shape)


def _named(prefix: str, arrays: list[Floats]) -> dict[str, NDArray[Any]]:
    return dict(zip(key_value_names(prefix, len(arrays) // 2), arrays, strict=True))


def _bind(bind: Any, name: str, array: NDArray[Any]) -> None:
    assert array.flags.c_contiguous, name
    bind(name, "cpu", 0, array.dtype.type, list(array.shape), array.ctypes.data)
