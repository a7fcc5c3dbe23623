"""Runs the encoder's plan of a generating variant."""

from collections.abc import Sequence

import numpy as np

from engine.runtime.sessions.caches import LENGTH_STEP
from engine.runtime.sessions.masks import mask_of
from engine.runtime.sessions.tensorrt.caches import Encoded
from engine.runtime.sessions.tensorrt.cuda import Cuda, DeviceArray
from engine.runtime.sessions.tensorrt.engine import PlanEngine, PlanTensors
from engine.runtime.sessions.tensorrt.shapes import Size, bucket, buckets


class PlanEncoder:
    """An encoder for up to `largest` rows at once, and more one after the other.

    Its one context is not captured. It has run for each bucket of rows and positions before it is
    asked: TensorRT sets itself up for new shapes in the first run, and TensorRT for RTX compiles.
    """

    def __init__(
        self,
        engine: PlanEngine,
        cuda: Cuda,
        largest: Size,
        outputs: Sequence[str],
        scratch: DeviceArray,
    ) -> None:
        self._cuda, self._outputs = cuda, outputs
        self._tensors = PlanTensors(engine, cuda, largest, {}, scratch)
        self._context = self._tensors.new_context()
        self._rows = buckets(largest.rows, 1)
        self._widths = buckets(largest.width, LENGTH_STEP)
        for rows in self._rows:
            for width in self._widths:
                self._run([[0] * width] * rows, width, 0, 0)

    def encode(self, sources: list[list[int]], pad: int) -> Encoded:
        """The cross keys and values of sources, which are padded with `pad` to equal length."""
        width, most = bucket(self._widths, max(map(len, sources))), self._rows[-1]
        last = (len(sources) - 1) // most * most
        self._make_room(last + bucket(self._rows, len(sources) - last), width)
        for start in range(0, len(sources), most):
            self._run(sources[start : start + most], width, pad, start)
        return Encoded([self._tensors.buffers[name] for name in self._outputs], width)

    def _run(self, sources: list[list[int]], width: int, pad: int, first: int) -> None:
        """Encodes sources; their outputs begin at row `first`."""
        tensors, count = self._tensors, len(sources)
        size = Size(bucket(self._rows, count), width)
        ids = tensors.host("input_ids", size)
        ids[...] = pad
        lengths = np.full(size.rows, width)  # a row that reads nothing would be no number
        for row, source in enumerate(sources):
            ids[row, : len(source)] = source
            lengths[row] = len(source)
        tensors.set_mask("mask", mask_of(lengths, width), size)
        tensors.set_shapes(self._context, size)
        for name in self._outputs:
            place = tensors.buffers[name].address + first * tensors.row_bytes(name, size)
            tensors.place(self._context, name, place)
        for name in ("input_ids", "mask"):
            tensors.upload(name, size)
        tensors.run(self._context)
        self._cuda.wait()  # the next run fills the same host memory

    def _make_room(self, rows: int, width: int) -> None:
        """Gives outputs more memory where so many rows do not fit."""
        tensors = self._tensors
        for name in self._outputs:
            wanted = rows * tensors.row_bytes(name, Size(1, width))
            if wanted > tensors.buffers[name].size:
                self._cuda.free(tensors.buffers[name])
                tensors.buffers[name] = self._cuda.empty(wanted)
