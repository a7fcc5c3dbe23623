"""One plan on a GPU: its tensors bound to memory of the largest shapes, once and for all.

Addresses never change, so a CUDA graph that was captured for some shapes stays good.
"""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.runtime.sessions.tensorrt.cuda import Cuda, DeviceArray
from engine.runtime.sessions.tensorrt.library import TensorRT
from engine.runtime.sessions.tensorrt.plan import PlanError

logger = logging.getLogger(__name__)

_HOST_TYPES: dict[str, Any] = {
    "FLOAT": np.float32,
    "HALF": np.float16,
    "BF16": np.uint16,  # NumPy has no bfloat16: its bits
    "INT64": np.int64,
    "INT32": np.int32,
}

MASKED_HALF = -30_000.0
"""What a mask holds in FP16 where nothing is attended to; a score is far smaller."""


class PlanEngine:
    """An engine from a plan; `contexts` of it run side by side."""

    def __init__(self, library: TensorRT, plan: Path) -> None:
        self.library, self.plan = library, plan
        trt = library.api
        self._logger = trt.Logger(trt.Logger.WARNING)
        self._runtime = trt.Runtime(self._logger)
        self.engine = self._runtime.deserialize_cuda_engine(plan.read_bytes())
        if self.engine is None:
            raise PlanError(
                f"{plan} can't be loaded by {library.flavour} {library.version} on this GPU: run "
                "`seqway-models build`."
            )
        names = [self.engine.get_tensor_name(i) for i in range(self.engine.num_io_tensors)]
        modes = {name: self.engine.get_tensor_mode(name) for name in names}
        self.inputs = [name for name in names if modes[name] == trt.TensorIOMode.INPUT]
        self.outputs = [name for name in names if modes[name] == trt.TensorIOMode.OUTPUT]

    def dtype(self, name: str) -> str:
        """TensorRT's name for the type of a tensor, such as "HALF"."""
        return str(self.engine.get_tensor_dtype(name).name)

    def shape(self, name: str) -> tuple[int, ...]:
        """The dimensions of a tensor, -1 where they are dynamic."""
        return tuple(self.engine.get_tensor_shape(name))

    def new_context(self) -> Any:
        """What runs the engine, with kernels that stay the same once they have run for a shape.

        TensorRT for RTX compiles them when they are first needed; by default it does that beside
        the work and swaps them later, which a captured graph would not notice.
        """
        strategies = getattr(self.library.api, "DynamicShapesKernelSpecializationStrategy", None)
        if strategies is None:
            return self.engine.create_execution_context()
        config = self.engine.create_runtime_config()
        config.dynamic_shapes_kernel_specialization_strategy = strategies.EAGER
        return self.engine.create_execution_context(config)

    def alias(self, output: str) -> str:
        """The input that an output shares memory with, "" if none."""
        return self.engine.get_aliased_input_tensor(output) or ""


class PlanContext:
    """An engine's tensors in memory of their own, for up to `rows` rows and `width` positions.

    `shared` are tensors that lie elsewhere, by name.
    """

    def __init__(
        self,
        engine: PlanEngine,
        cuda: Cuda,
        rows: int,
        width: int,
        shared: Mapping[str, DeviceArray],
    ) -> None:
        self.engine, self.cuda = engine, cuda
        self.rows, self.width = rows, width
        self._context = engine.new_context()
        self._buffers: dict[str, DeviceArray] = {}
        self._host: dict[str, NDArray[Any]] = {}
        for name in (*engine.inputs, *engine.outputs):
            self._buffers[name] = shared.get(name) or cuda.empty(self._size(name))
            if not self._context.set_tensor_address(name, self._buffers[name].address):
                raise PlanError(f"{engine.plan} takes no address for its tensor {name}.")

    def sized(self, name: str, rows: int, width: int) -> tuple[int, ...]:
        """The shape of a tensor for so many rows and source positions."""
        first, *others = self.engine.shape(name)
        return (rows if first == -1 else first, *(width if n == -1 else n for n in others))

    def buffer(self, name: str) -> DeviceArray:
        """Where a tensor lies."""
        return self._buffers[name]

    def host(self, name: str, rows: int, width: int) -> NDArray[Any]:
        """Page-locked memory for a tensor of that shape; the same memory for every shape."""
        if name not in self._host:
            dtype = _HOST_TYPES[self.engine.dtype(name)]
            size = self._size(name) // np.dtype(dtype).itemsize
            self._host[name] = self.cuda.pinned((size,), dtype)
        shape = self.sized(name, rows, width)
        return self._host[name][: int(np.prod(shape))].reshape(shape)

    def set_mask(self, name: str, mask: NDArray[np.float32], rows: int, width: int) -> None:
        """Fills a mask's host memory, in the type that the engine takes."""
        place, kind = self.host(name, rows, width), self.engine.dtype(name)
        target = place[: len(mask)]
        if kind == "HALF":
            np.maximum(mask, MASKED_HALF, out=target, casting="unsafe")
        elif kind == "BF16":
            target[...] = (np.ascontiguousarray(mask).view(np.uint32) >> 16).astype(np.uint16)
        else:
            target[...] = mask

    def set_shapes(self, rows: int, width: int) -> None:
        """Tells the context the shapes of the inputs.

        Raises:
            PlanError: they are not in the plan's profile.

        """
        for name in self.engine.inputs:
            shape = self.sized(name, rows, width)
            if not self._context.set_input_shape(name, shape):
                raise PlanError(f"{self.engine.plan} does not take {name} of the shape {shape}.")

    def run(self) -> None:
        """Puts the engine's work on the stream."""
        if not self._context.execute_async_v3(self.cuda.stream):
            raise PlanError(f"{self.engine.plan} could not be run; TensorRT's log says why.")

    def replayable(self, work: Callable[[], None], rows: int, width: int) -> Callable[[], None]:
        """`work` as a CUDA graph for these shapes, or as it is where it can't be captured.

        It is run once before, since TensorRT sets itself up for new shapes in the first run.
        """
        self.set_shapes(rows, width)
        work()
        self.cuda.wait()
        capturable = getattr(self._context, "is_stream_capturable", None)
        if capturable is None or capturable(self.cuda.stream):
            graph = self.cuda.capture(work)
            return lambda: self.cuda.launch(graph)
        logger.warning("%s can't be captured, and runs without CUDA graphs", self.engine.plan)

        def shaped() -> None:
            self.set_shapes(rows, width)
            work()

        return shaped

    def upload(self, name: str, rows: int, width: int) -> None:
        """Copies an input's host memory to the device."""
        self.cuda.upload(self.host(name, rows, width), self._buffers[name])

    def download(self, name: str, rows: int, width: int) -> NDArray[Any]:
        """Copies an output to its host memory, where it is after `Cuda.wait`."""
        place = self.host(name, rows, width)
        self.cuda.download(self._buffers[name], place)
        return place

    def _size(self, name: str) -> int:
        item = int(np.dtype(_HOST_TYPES[self.engine.dtype(name)]).itemsize)
        return max(1, int(np.prod(self.sized(name, self.rows, self.width)))) * item
