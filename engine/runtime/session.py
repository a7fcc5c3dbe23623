"""Runs the two graphs of a variant with ONNX Runtime, the step with bound buffers."""

from copy import copy
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from engine.runtime.manifest import Manifest
from engine.runtime.slots import MASKED, Floats, Slots


class OnnxSession:
    """The encoder and the decoder step of the variant in `folder`, on `threads` CPU threads."""

    def __init__(self, folder: Path, manifest: Manifest, threads: int) -> None:
        self.manifest = manifest
        # Both graphs run in one thread of ours, one after the other, so they share no cores.
        quantized = manifest.precision == "int8"
        self._encoder = _open(folder / "encoder.onnx", threads, quantized)
        self._step = _open(folder / "decoder_step.onnx", threads, quantized)
        self._binding = self._step.io_binding()
        self._bound: tuple[int, int] | None = None

    def sibling(self) -> "OnnxSession":
        """A session for another thread: the same graphs and weights, bindings of its own."""
        twin = copy(self)
        twin._binding = self._step.io_binding()
        twin._bound = None
        return twin

    def encode(self, sources: list[list[int]], width: int) -> list[Floats]:
        """Encodes rows padded to `width`; returns `cross_key_0 [B,H,width,K]` and so on."""
        ids = np.full((len(sources), width), self.manifest.pad_id, dtype=np.int64)
        mask = np.full((len(sources), 1, 1, width), MASKED, dtype=np.float32)
        for row, source in enumerate(sources):
            ids[row, : len(source)] = source
            mask[row, ..., : len(source)] = 0
        outputs: list[Floats] = self._encoder.run(None, {"input_ids": ids, "mask": mask})
        return outputs

    def step(self, slots: Slots) -> None:
        """One decoder step of the live rows: fills their `next_ids` and `log_probs`."""
        if self._bound != (slots.rows, slots.geometry):
            self._bind(slots)
        self._step.run_with_iobinding(self._binding)

    def unbind(self) -> None:
        """Forgets the bound slots: they are replaced."""
        self._bound = None

    def _bind(self, slots: Slots) -> None:
        binding, rows = self._binding, slots.rows
        binding.clear_binding_inputs()
        binding.clear_binding_outputs()
        for name, array in slots.step_inputs.items():
            _bind(binding.bind_input, name, array[:rows])
        for name, array in slots.step_outputs.items():
            _bind(binding.bind_output, name, array[:rows])
        self._bound = (rows, slots.geometry)


def _bind(bind: Any, name: str, array: NDArray[Any]) -> None:
    assert array.flags.c_contiguous, name
    bind(name, "cpu", 0, array.dtype.type, list(array.shape), array.ctypes.data)


def _open(path: Path, threads: int, quantized: bool) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Spinning threads would take the cores from Triton and the gateway between two steps.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Product and bias become one Gemm before the Q/DQ nodes are looked at, and a float Gemm stays.
    disabled = ["MatMulAddFusion"] if quantized else []
    return ort.InferenceSession(
        str(path), options, providers=["CPUExecutionProvider"], disabled_optimizers=disabled
    )
