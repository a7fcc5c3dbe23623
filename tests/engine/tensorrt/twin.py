# ruff: noqa: ANN001, ANN201, ANN202, N802, N803, N815
"""A twin of TensorRT and of CUDA's runtime: the calls that sessions make, on this machine's memory.

Addresses are real, copies are made, and every copy is checked against the memory that was handed
out.  A twin's plan is an ONNX graph, which ONNX Runtime runs at the bound addresses when an engine
is run.  While a stream is captured, its work is kept, and a graph's launch does it.  What would
spoil a capture, or a graph after it, is an error here as there.
`test_tensorrt_signatures.py` holds names and parameters against the real bindings.
"""

import ctypes
import enum
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort


class Error(enum.IntEnum):
    cudaSuccess = 0
    cudaErrorInvalidValue = 1
    cudaErrorStreamCaptureUnsupported = 900
    cudaErrorStreamCaptureInvalidated = 901
    cudaErrorStreamCaptureImplicit = 906


class MemcpyKind(enum.IntEnum):
    cudaMemcpyHostToDevice = 1
    cudaMemcpyDeviceToHost = 2
    cudaMemcpyDeviceToDevice = 3


class CaptureMode(enum.IntEnum):
    cudaStreamCaptureModeThreadLocal = 1


class DeviceAttr(enum.IntEnum):
    cudaDevAttrComputeCapabilityMajor = 75
    cudaDevAttrComputeCapabilityMinor = 76


OK = Error.cudaSuccess
INVALID = Error.cudaErrorInvalidValue


class Stream:
    """`captured` is the work that is kept, None while nothing is; `broken` says it is spoilt."""

    def __init__(self, flags: int) -> None:
        self.waits_for_legacy = flags == 0
        self.captured: list[Callable[[], None]] | None = None
        self.broken = False


class Cuda:
    """`cuda.bindings.runtime`; `recorded` are the calls, by name, with their arguments."""

    cudaMemcpyKind = MemcpyKind
    cudaStreamCaptureMode = CaptureMode
    cudaDeviceAttr = DeviceAttr
    cudaStreamNonBlocking = 1

    def __init__(self, capability: tuple[int, int] = (8, 9), devices: int = 1) -> None:
        self.capability = capability
        self.devices = devices
        self.recorded: list[tuple[Any, ...]] = []
        self.memory: dict[int, Any] = {}
        self.streams: dict[int, Stream] = {}
        self.graphs: dict[int, list[Callable[[], None]]] = {}
        self.cudaMemcpy3DParms = lambda: SimpleNamespace(
            srcPtr=SimpleNamespace(), dstPtr=SimpleNamespace(), extent=SimpleNamespace(), kind=None
        )

    def cudaGetDeviceCount(self):
        return OK, self.devices

    def cudaSetDevice(self, device):
        return (OK if device < self.devices else INVALID,)

    def cudaDeviceGetAttribute(self, attr, device):
        return OK, self.capability[attr - DeviceAttr.cudaDevAttrComputeCapabilityMajor]

    def cudaStreamCreateWithFlags(self, flags):
        stream = 7 + len(self.streams)
        self.streams[stream] = Stream(flags)
        return OK, stream

    def cudaStreamSynchronize(self, stream):
        """A stream that is captured can't be waited for; who tries spoils the capture."""
        if self.streams[stream].captured is None:
            return (OK,)
        self.streams[stream].broken = True
        return (Error.cudaErrorStreamCaptureUnsupported,)

    def cudaMalloc(self, size):
        self.recorded.append(("cudaMalloc", size))
        return OK, self._allocate(size)

    def cudaFree(self, devPtr):
        del self.memory[devPtr]
        return (OK,)

    def cudaHostAlloc(self, size, flags):
        return OK, self._allocate(size)

    def cudaMemset(self, devPtr, value, count):
        """On the legacy stream, which spoils what streams capture that wait for it."""
        capturing = [
            one
            for one in self.streams.values()
            if one.waits_for_legacy and one.captured is not None
        ]
        for one in capturing:
            one.broken = True
        if capturing:
            return (Error.cudaErrorStreamCaptureImplicit,)
        self._require(devPtr, count)
        ctypes.memset(devPtr, value, count)
        return (OK,)

    def cudaMemsetAsync(self, devPtr, value, count, stream):
        self._require(devPtr, count)
        self._do(stream, lambda: ctypes.memset(devPtr, value, count))
        return (OK,)

    def cudaMemset2DAsync(self, devPtr, pitch, value, width, height, stream):
        assert width <= pitch
        self._require(devPtr, (height - 1) * pitch + width)

        def fill() -> None:
            for line in range(height):
                ctypes.memset(devPtr + line * pitch, value, width)

        self._do(stream, fill)
        return (OK,)

    def cudaMemcpyAsync(self, dst, src, count, kind, stream):
        device, host = (dst, src) if kind == MemcpyKind.cudaMemcpyHostToDevice else (src, dst)
        self._require(device, count)
        if self.streams[stream].captured is not None:
            self._require(host, count)  # a graph goes on reading there
        self._do(stream, lambda: ctypes.memmove(dst, src, count))
        return (OK,)

    def cudaMemcpy2DAsync(self, dst, dpitch, src, spitch, width, height, kind, stream):
        assert kind == MemcpyKind.cudaMemcpyDeviceToDevice and width <= min(dpitch, spitch)
        self.recorded.append(("cudaMemcpy2DAsync", width, height))
        self._require(dst, (height - 1) * dpitch + width)
        self._require(src, (height - 1) * spitch + width)

        def copy() -> None:
            for line in range(height):
                ctypes.memmove(dst + line * dpitch, src + line * spitch, width)

        self._do(stream, copy)
        return (OK,)

    def cudaMemcpy3DAsync(self, p, stream):
        assert p.kind == MemcpyKind.cudaMemcpyDeviceToDevice
        self.recorded.append(("cudaMemcpy3DAsync", p.extent.width))
        places = []
        for depth in range(p.extent.depth):
            for line in range(p.extent.height):
                source, target = (
                    one.ptr + (depth * one.ysize + line) * one.pitch for one in (p.srcPtr, p.dstPtr)
                )
                places.append((target, source))
        width = p.extent.width
        assert width <= min(p.srcPtr.pitch, p.dstPtr.pitch)
        for place in (*places[0], *places[-1]):
            self._require(place, width)

        def copy() -> None:
            for target, source in places:
                ctypes.memmove(target, source, width)

        self._do(stream, copy)
        return (OK,)

    def cudaStreamBeginCapture(self, stream, mode):
        assert mode == CaptureMode.cudaStreamCaptureModeThreadLocal
        self.recorded.append(("cudaStreamBeginCapture",))
        one = self.streams[stream]
        assert one.captured is None
        one.captured, one.broken = [], False
        return (OK,)

    def cudaStreamEndCapture(self, stream):
        one = self.streams[stream]
        assert one.captured is not None
        work, one.captured = one.captured, None
        if one.broken:
            return Error.cudaErrorStreamCaptureInvalidated, 0
        graph = 1 + len(self.graphs)
        self.graphs[graph] = work
        return OK, graph

    def cudaGraphInstantiate(self, graph, flags):
        executable = 1 + len(self.graphs)
        self.graphs[executable] = self.graphs[graph]
        return OK, executable

    def cudaGraphDestroy(self, graph):
        self.graphs[graph] = []
        return (OK,)

    def cudaGraphLaunch(self, graphExec, stream):
        self.recorded.append(("cudaGraphLaunch", graphExec))
        assert self.streams[stream].captured is None
        for work in self.graphs[graphExec]:
            work()
        return (OK,)

    def _is_capturing(self, stream: int) -> bool:
        return self.streams[stream].captured is not None

    def _allocate(self, size: int) -> int:
        block = np.full(max(1, size), 0xCD, np.uint8)  # fresh memory holds anything
        self.memory[block.ctypes.data] = block
        return block.ctypes.data

    def _require(self, address: int, size: int) -> None:
        inside = any(
            start <= address and address + size <= start + block.nbytes
            for start, block in self.memory.items()
        )
        assert inside, f"{size} bytes at {address} were not handed out"

    def _do(self, stream: int, work: Callable[[], Any]) -> None:
        captured = self.streams[stream].captured
        if captured is None:
            work()
        else:
            captured.append(work)


class Type(enum.Enum):
    FLOAT = np.float32
    HALF = np.float16
    INT64 = np.int64


SCRATCH = 4096
"""Bytes that a context of any engine works in."""

_TYPES = {
    "tensor(float)": Type.FLOAT,
    "tensor(float16)": Type.HALF,
    "tensor(int64)": Type.INT64,
}


class Mode(enum.Enum):
    INPUT = 0
    OUTPUT = 1


class Allocation(enum.Enum):
    STATIC = 0
    USER_MANAGED = 2


class Logger:
    WARNING = 2

    def __init__(self, min_severity) -> None:
        pass


class TensorRT:
    """The module: `api` of a `library.TensorRT`."""

    __version__ = "11.0.0"
    TensorIOMode = Mode
    ExecutionContextAllocationStrategy = Allocation
    Logger = Logger

    def __init__(self, cuda: Cuda, aliases: bool = True) -> None:
        twin = self
        self.engine_type: type[Engine] = Engine
        self.cuda, self.aliases = cuda, aliases

        class Runtime:
            def __init__(self, logger) -> None:
                pass

            def deserialize_cuda_engine(self, serialized_engine):
                if not serialized_engine.startswith(b"\x08"):
                    return None
                return twin.engine_type(twin, serialized_engine)

        self.Runtime = Runtime


class Engine:
    def __init__(self, twin: TensorRT, plan: bytes) -> None:
        self.twin = twin
        options = ort.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = 1
        self.session = ort.InferenceSession(plan, options, providers=["CPUExecutionProvider"])
        infos = self.session.get_inputs(), self.session.get_outputs()
        self.symbols = {one.name: one.shape for some in infos for one in some}
        self.tensors = {
            one.name: (mode, _TYPES[one.type], self._shape(one.shape))
            for mode, some in zip((Mode.INPUT, Mode.OUTPUT), infos, strict=True)
            for one in some
        }
        graph = onnx.load_from_string(plan).graph
        self.aliases = {
            node.output[0]: node.input[0] for node in graph.node if node.op_type == "TensorScatter"
        }

    @staticmethod
    def _shape(shape: list[Any]) -> tuple[int, ...]:
        return tuple(size if isinstance(size, int) else -1 for size in shape)

    @property
    def device_memory_size_v2(self):
        return SCRATCH

    @property
    def num_io_tensors(self) -> int:
        return len(self.tensors)

    def get_tensor_name(self, index):
        return list(self.tensors)[index]

    def get_tensor_mode(self, name):
        return self.tensors[name][0]

    def get_tensor_dtype(self, name):
        return self.tensors[name][1]

    def get_tensor_shape(self, name):
        return self.tensors[name][2]

    def get_aliased_input_tensor(self, name):
        return self.aliases.get(name) if self.twin.aliases else None

    def create_execution_context(self, strategy):
        assert strategy is Allocation.USER_MANAGED
        return Context(self)


class Context:
    """What was captured with it is lost when it takes other shapes, see `_run`."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.addresses: dict[str, int] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.prepared: dict[str, tuple[int, ...]] = {}
        self.has_memory = False

    def set_device_memory(self, memory, size):
        self.engine.twin.cuda._require(memory, size)
        self.has_memory = size >= SCRATCH

    def set_tensor_address(self, name, memory):
        self.addresses[name] = memory
        return True

    def set_input_shape(self, name, shape):
        declared = self.engine.get_tensor_shape(name)
        fits = len(shape) == len(declared)
        fits = fits and all(d in (-1, s) for d, s in zip(declared, shape, strict=True))
        self.shapes[name] = tuple(shape)
        return fits

    def execute_async_v3(self, stream_handle):
        shapes, cuda = dict(self.shapes), self.engine.twin.cuda
        cuda.recorded.append(("execute_async_v3", shapes))
        captures = cuda._is_capturing(stream_handle)
        assert self.has_memory
        assert not captures or shapes == self.prepared, "new shapes are set up in a run before"
        self.prepared = shapes
        cuda._do(stream_handle, lambda: self._run(shapes))
        return True

    def _run(self, shapes: dict[str, tuple[int, ...]]) -> None:
        """Runs the graph; the caches are bound to one memory, so their write is in place."""
        assert shapes == self.shapes, "a graph was captured before its context took other shapes"
        sizes = self._sizes(shapes)
        binding = self.engine.session.io_binding()
        for name, (mode, dtype, _) in self.engine.tensors.items():
            shape = [sizes.get(size, size) for size in self.engine.symbols[name]]
            count = int(np.prod(shape)) * np.dtype(dtype.value).itemsize
            self.engine.twin.cuda._require(self.addresses[name], count)
            bind = binding.bind_input if mode is Mode.INPUT else binding.bind_output
            if name == "positions":
                self._require_inside(name, shape[0])
            bind(name, "cpu", 0, dtype.value, shape, self.addresses[name])
        self.engine.session.run_with_iobinding(binding)

    def _sizes(self, shapes: dict[str, tuple[int, ...]]) -> dict[str, int]:
        """What the graph's names of dimensions stand for, which has to be one number each."""
        sizes: dict[str, int] = {}
        for name, shape in shapes.items():
            for symbol, size in zip(self.engine.symbols[name], shape, strict=True):
                if isinstance(symbol, str):
                    assert sizes.setdefault(symbol, size) == size, name
        return sizes

    def _require_inside(self, name: str, rows: int) -> None:
        """The real one drops a write outside the cache in silence."""
        content = (ctypes.c_int64 * rows).from_address(self.addresses[name])
        assert all(0 <= n < self.engine.get_tensor_shape("past_key_0")[2] for n in content)


# ---- what TensorRT for RTX has of its own


class Strategy(enum.Enum):
    LAZY = 0
    EAGER = 1
    NONE = 2


class RuntimeConfig:
    def __init__(self) -> None:
        self.dynamic_shapes_kernel_specialization_strategy = Strategy.LAZY
        self._allocation = Allocation.STATIC

    def set_execution_context_allocation_strategy(self, strategy):
        self._allocation = strategy


class EngineForRTX(Engine):
    def create_runtime_config(self):
        return RuntimeConfig()

    def create_execution_context(self, runtime_config):
        assert runtime_config._allocation is Allocation.USER_MANAGED
        self.twin.strategies.add(runtime_config.dynamic_shapes_kernel_specialization_strategy)
        return ContextForRTX(self)


class ContextForRTX(Context):
    def is_stream_capturable(self, stream):
        return self.engine.twin.capturable


class TensorRTForRTX(TensorRT):
    """The module; its contexts are `capturable` or not."""

    DynamicShapesKernelSpecializationStrategy = Strategy

    def __init__(self, cuda: Cuda) -> None:
        super().__init__(cuda)
        self.engine_type = EngineForRTX
        self.capturable = True
        self.strategies: set[Strategy] = set()
