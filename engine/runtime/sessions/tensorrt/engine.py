"""A plan on a GPU: its engine, its tensors in memory of the largest sizes, and what runs them.

Addresses never change, so a CUDA graph that was captured for some sizes stays good.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.runtime.sessions.tensorrt.cuda import Cuda, DeviceArray
from engine.runtime.sessions.tensorrt.library import TensorRT
from engine.runtime.sessions.tensorrt.plan import PlanError
from engine.runtime.sessions.tensorrt.shapes import Size

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
    """An engine from a plan; execution contexts of it run side by side."""

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

    @property
    def scratch(self) -> int:
        """The bytes that a context works in, for any sizes."""
        return int(self.engine.device_memory_size_v2)

    def new_context(self, scratch: DeviceArray) -> Any:
        """What runs the engine, working in `scratch`, which contexts share that take turns.

        TensorRT for RTX compiles kernels when they are first needed; by default it does that beside
        the work and swaps them later, which a captured graph would not notice.
        """
        trt = self.library.api
        allocation = trt.ExecutionContextAllocationStrategy.USER_MANAGED
        strategies = getattr(trt, "DynamicShapesKernelSpecializationStrategy", None)
        if strategies is None:
            context = self.engine.create_execution_context(allocation)
        else:
            config = self.engine.create_runtime_config()
            config.set_execution_context_allocation_strategy(allocation)
            config.dynamic_shapes_kernel_specialization_strategy = strategies.EAGER
            context = self.engine.create_execution_context(config)
        if context is None:
            raise PlanError(f"{self.plan} gets no execution context; TensorRT's log says why.")
        context.set_device_memory(scratch.address, scratch.size)
        return context

    def alias(self, output: str) -> str:
        """The input that an output shares memory with, "" if none."""
        return self.engine.get_aliased_input_tensor(output) or ""


def scratch_for(cuda: Cuda, engines: Sequence[PlanEngine]) -> DeviceArray:
    """What contexts of these engines work in, one at a time."""
    return cuda.empty(max(1, *(engine.scratch for engine in engines)))


class PlanTensors:
    """An engine's tensors in memory of their own, for sizes up to the `largest`.

    `shared` are tensors that lie elsewhere, by name. All contexts work in `scratch`.
    """

    def __init__(
        self,
        engine: PlanEngine,
        cuda: Cuda,
        largest: Size,
        shared: Mapping[str, DeviceArray],
        scratch: DeviceArray,
    ) -> None:
        self.engine, self.cuda, self.largest = engine, cuda, largest
        self._scratch = scratch
        self._contexts: list[Any] = []  # a graph does not keep its context alive
        self._host: dict[str, NDArray[Any]] = {}
        self.buffers: dict[str, DeviceArray] = {}
        for name in (*engine.inputs, *engine.outputs):
            self.buffers[name] = shared.get(name) or cuda.empty(self._bytes(name))

    def new_context(self) -> Any:
        """An execution context at these addresses.

        Raises:
            PlanError: TensorRT makes none, or does not take an address.

        """
        context = self.engine.new_context(self._scratch)
        for name, buffer in self.buffers.items():
            self.place(context, name, buffer.address)
        return context

    def place(self, context: Any, name: str, address: int) -> None:
        """Tells a context where a tensor lies.

        Raises:
            PlanError: it does not take the address.

        """
        if not context.set_tensor_address(name, address):
            raise PlanError(f"{self.engine.plan} takes no address for its tensor {name}.")

    def host(self, name: str, size: Size) -> NDArray[Any]:
        """Page-locked memory for a tensor of that size; the same memory for every size."""
        if name not in self._host:
            dtype = _HOST_TYPES[self.engine.dtype(name)]
            count = self._bytes(name) // np.dtype(dtype).itemsize
            self._host[name] = self.cuda.pinned((count,), dtype)
        shape = size.shape(name, self.engine.shape(name))
        return self._host[name][: int(np.prod(shape))].reshape(shape)

    def set_mask(self, name: str, mask: NDArray[np.float32], size: Size) -> None:
        """Fills a mask's host memory, in the type that the engine takes."""
        place, kind = self.host(name, size), self.engine.dtype(name)
        if kind == "HALF":
            np.maximum(mask, MASKED_HALF, out=place, casting="unsafe")
        elif kind == "BF16":
            place[...] = (np.ascontiguousarray(mask).view(np.uint32) >> 16).astype(np.uint16)
        else:
            place[...] = mask

    def set_shapes(self, context: Any, size: Size) -> None:
        """Tells a context the shapes of its inputs.

        Raises:
            PlanError: they are not in the plan's profile.

        """
        for name in self.engine.inputs:
            shape = size.shape(name, self.engine.shape(name))
            if not context.set_input_shape(name, shape):
                raise PlanError(f"{self.engine.plan} does not take {name} of the shape {shape}.")

    def run(self, context: Any) -> None:
        """Puts the engine's work on the stream."""
        if not context.execute_async_v3(self.cuda.stream):
            raise PlanError(f"{self.engine.plan} could not be run; TensorRT's log says why.")

    def prepare(
        self, size: Size, uploads: Sequence[str], downloads: Sequence[str]
    ) -> Callable[[], None]:
        """A run for one size, with copies of inputs from host memory and of outputs to it.

        It is a CUDA graph, or the calls one by one where that can't be captured. The graph has a
        context of its own: after a change of its shapes, what a context captured before is no
        longer good (github.com/NVIDIA/TensorRT/issues/3798). It is run once before, since TensorRT
        sets itself up for new shapes in the first run; host memory has to hold what it can take.
        """
        context = self.new_context()
        self._contexts.append(context)
        self.set_shapes(context, size)

        def work() -> None:
            for name in uploads:
                self.upload(name, size)
            self.run(context)
            for name in downloads:
                self.download(name, size)

        work()
        self.cuda.wait()
        capturable = getattr(context, "is_stream_capturable", None)
        if capturable is None or capturable(self.cuda.stream):
            graph = self.cuda.capture(work)
            return lambda: self.cuda.launch(graph)
        if len(self._contexts) == 1:
            logger.warning("%s can't be captured, and runs without CUDA graphs", self.engine.plan)
        return work

    def upload(self, name: str, size: Size) -> None:
        """Copies an input's host memory to the device."""
        self.cuda.upload(self.host(name, size), self.buffers[name])

    def download(self, name: str, size: Size) -> NDArray[Any]:
        """Copies an output to its host memory, where it is after `Cuda.wait`."""
        place = self.host(name, size)
        self.cuda.download(self.buffers[name], place)
        return place

    def row_bytes(self, name: str, size: Size) -> int:
        """The bytes of one row of a tensor."""
        item = int(np.dtype(_HOST_TYPES[self.engine.dtype(name)]).itemsize)
        return int(np.prod(size.shape(name, self.engine.shape(name))[1:])) * item

    def _bytes(self, name: str) -> int:
        item = int(np.dtype(_HOST_TYPES[self.engine.dtype(name)]).itemsize)
        shape = self.largest.shape(name, self.engine.shape(name))
        return max(1, int(np.prod(shape))) * item
