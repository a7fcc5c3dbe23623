"""Runs the plan of an encoder variant."""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.contract.manifest import Manifest
from engine.runtime.encoders.session import BATCH_TOKENS
from engine.runtime.encoders.windows import TokenWindow
from engine.runtime.sessions.caches import LENGTH_STEP
from engine.runtime.sessions.tensorrt.cuda import Cuda
from engine.runtime.sessions.tensorrt.engine import PlanEngine, PlanTensors, scratch_for
from engine.runtime.sessions.tensorrt.library import TensorRT
from engine.runtime.sessions.tensorrt.plan import require_plan
from engine.runtime.sessions.tensorrt.shapes import Size, bucket, buckets

MODEL_PLAN = "model.plan"


class TensorRTEncoderSession:
    """As `EncoderSession`, on one GPU; several threads may call `run`, and take turns."""

    pads = True
    batch_tokens = BATCH_TOKENS

    def __init__(self, folder: Path, manifest: Manifest, library: TensorRT, cuda: Cuda) -> None:
        self.manifest = manifest
        place, plan = require_plan(
            folder, library.flavour, library.version, cuda.compute_capability
        )
        self._cuda = cuda
        engine = PlanEngine(library, place / MODEL_PLAN)
        largest = Size(plan.max_rows, plan.max_source)
        self._tensors = PlanTensors(engine, cuda, largest, {}, scratch_for(cuda, [engine]))
        self._rows = buckets(plan.max_rows, 1)
        self._widths = buckets(plan.max_source, LENGTH_STEP)
        self._tensors.host("mask", largest)[...] = 1  # what reads nothing would be no number
        self._steps: dict[Size, Callable[[], None]] = {
            size: self._tensors.prepare(size, engine.inputs, ["logits"])
            for size in (Size(rows, width) for rows in self._rows for width in self._widths)
        }
        self._turn = threading.Lock()

    def run(self, windows: Sequence[TokenWindow]) -> list[NDArray[np.float32]]:
        """Of each window the logits: `[labels]`, or `[len(ids),2]` of a span head."""
        most = self._rows[-1]
        parts = [windows[start : start + most] for start in range(0, len(windows), most)]
        with self._turn:
            self._cuda.use()
            return [row for part in parts for row in self._run(part)]

    def _run(self, windows: Sequence[TokenWindow]) -> list[NDArray[np.float32]]:
        lengths = [len(window.ids) for window in windows]
        size = Size(bucket(self._rows, len(windows)), bucket(self._widths, max(lengths)))
        self._fill(windows, size)
        self._steps[size]()
        self._cuda.wait()
        logits = self._tensors.host("logits", size)[: len(windows)].copy()
        if self.manifest.head == "spans":
            return [row[:length] for row, length in zip(logits, lengths, strict=True)]
        return list(logits)

    def _fill(self, windows: Sequence[TokenWindow], size: Size) -> None:
        places = {name: self._tensors.host(name, size) for name in self._tensors.engine.inputs}
        for name, place in places.items():
            place[...] = self.manifest.pad_id if name == "input_ids" else 0
        places["mask"][len(windows) :, 0] = 1
        for row, window in enumerate(windows):
            length = len(window.ids)
            places["input_ids"][row, :length] = window.ids
            places["mask"][row, :length] = 1
            if "token_types" in places:
                places["token_types"][row, :length] = window.token_types
