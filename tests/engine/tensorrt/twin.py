# ruff: noqa: ANN001, ANN201, ANN202, N802, N803, N815
"""A twin of TensorRT and of CUDA's runtime: the calls that sessions make, on this machine's memory.

Addresses are real, copies are made, and every copy is checked against the memory that was handed
out.  A twin's plan is an ONNX graph, which ONNX Runtime runs at the bound addresses when an engine
is run.  While a stream is captured, work is kept, and a graph's launch does it.
`test_tensorrt_signatures.py` holds names and parameters against the real bindings.
"""

import ctypes
import enum
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort


class Error(enum.IntEnum):
    cudaSuccess = 0
    cudaErrorInvalidValue = 1


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


class Cuda:
    """`cuda.bindings.runtime`; `recorded` are the calls, by name, with their arguments."""

    cudaMemcpyKind = MemcpyKind
    cudaStreamCaptureMode = CaptureMode
    cudaDeviceAttr = DeviceAttr

    def __init__(self, capability: tuple[int, int] = (8, 9), devices: int = 1) -> None:
        self.capability = capability
        self.devices = devices
        self.recorded: list[tuple[Any, ...]] = []
        self.memory: dict[int, Any] = {}
        self.captured: list[Callable[[], None]] | None = None
        self.graphs: list[list[Callable[[], None]]] = []

    def cudaGetDeviceCount(self):
        return OK, self.devices

    def cudaSetDevice(self, device):
        return (OK if device < self.devices else INVALID,)

    def cudaDeviceGetAttribute(self, attr, device):
        return OK, self.capability[attr - DeviceAttr.cudaDevAttrComputeCapabilityMajor]

    def cudaStreamCreate(self):
        return OK, 7

    def cudaStreamSynchronize(self, stream):
        assert stream == 7 and self.captured is None
        return (OK,)

    def cudaMalloc(self, size):
        self.recorded.append(("cudaMalloc", size))
        return OK, self._allocate(size)

    def cudaHostAlloc(self, size, flags):
        return OK, self._allocate(size)

    def cudaMemset(self, devPtr, value, count):
        self._require(devPtr, count)
        ctypes.memset(devPtr, value, count)
        return (OK,)

    def cudaMemcpyAsync(self, dst, src, count, kind, stream):
        if kind == MemcpyKind.cudaMemcpyHostToDevice:
            self._require(dst, count)
        else:
            self._require(src, count)
        self._do(lambda: ctypes.memmove(dst, src, count))
        return (OK,)

    def cudaMemcpy2DAsync(self, dst, dpitch, src, spitch, width, height, kind, stream):
        assert kind == MemcpyKind.cudaMemcpyDeviceToDevice and width <= min(dpitch, spitch)
        self._require(dst, (height - 1) * dpitch + width)
        self._require(src, (height - 1) * spitch + width)

        def copy() -> None:
            for line in range(height):
                ctypes.memmove(dst + line * dpitch, src + line * spitch, width)

        self._do(copy)
        return (OK,)

    def cudaStreamBeginCapture(self, stream, mode):
        self.recorded.append(("cudaStreamBeginCapture",))
        assert self.captured is None
        self.captured = []
        return (OK,)

    def cudaStreamEndCapture(self, stream):
        assert self.captured is not None
        self.graphs.append(self.captured)
        self.captured = None
        return OK, len(self.graphs) - 1

    def cudaGraphInstantiate(self, graph, flags):
        return OK, graph

    def cudaGraphLaunch(self, graphExec, stream):
        self.recorded.append(("cudaGraphLaunch", graphExec))
        for work in self.graphs[graphExec]:
            work()
        return (OK,)

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

    def _do(self, work: Callable[[], Any]) -> None:
        if self.captured is None:
            work()
        else:
            self.captured.append(work)


class Type(enum.Enum):
    FLOAT = np.float32
    HALF = np.float16
    INT64 = np.int64


_TYPES = {
    "tensor(float)": Type.FLOAT,
    "tensor(float16)": Type.HALF,
    "tensor(int64)": Type.INT64,
}


class Mode(enum.Enum):
    INPUT = 0
    OUTPUT = 1


class Logger:
    WARNING = 2

    def __init__(self, min_severity) -> None:
        pass


class TensorRT:
    """The module: `api` of a `library.TensorRT`."""

    __version__ = "11.0.0"
    TensorIOMode = Mode
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
        self.tensors = {
            one.name: (Mode.INPUT, _TYPES[one.type], self._shape(one.shape))
            for one in self.session.get_inputs()
        }
        self.tensors |= {
            one.name: (Mode.OUTPUT, _TYPES[one.type], self._shape(one.shape))
            for one in self.session.get_outputs()
        }
        graph = onnx.load_from_string(plan).graph
        self.aliases = {
            node.output[0]: node.input[0] for node in graph.node if node.op_type == "TensorScatter"
        }

    @staticmethod
    def _shape(shape: list[Any]) -> tuple[int, ...]:
        return tuple(size if isinstance(size, int) else -1 for size in shape)

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

    def create_execution_context(self):
        return Context(self)


class Context:
    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.addresses: dict[str, int] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}

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
        cuda._do(lambda: self._run(shapes))
        return True

    def _run(self, shapes: dict[str, tuple[int, ...]]) -> None:
        """Runs the graph; the caches are bound to one memory, so their write is in place."""
        binding = self.engine.session.io_binding()
        rows = next(iter(shapes.values()))[0]
        width = max(
            [shape[-1] for name, shape in shapes.items() if name not in ("ids", "self_mask")
             and not name.startswith(("past_", "cross_key", "cross_value")) and len(shape) > 1],
            default=1,
        )  # fmt: skip
        for name, (mode, dtype, declared) in self.engine.tensors.items():
            sizes = [width if size == -1 else size for size in declared[1:]]
            shape = [rows if declared[0] == -1 else declared[0], *sizes]
            count = int(np.prod(shape)) * np.dtype(dtype.value).itemsize
            self.engine.twin.cuda._require(self.addresses[name], count)
            bind = binding.bind_input if mode is Mode.INPUT else binding.bind_output
            if mode is Mode.INPUT:
                assert tuple(shape) == shapes[name], name
                if name == "positions":
                    self._require_inside(name, rows)
            bind(name, "cpu", 0, dtype.value, shape, self.addresses[name])
        self.engine.session.run_with_iobinding(binding)

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


class EngineForRTX(Engine):
    def create_runtime_config(self):
        return RuntimeConfig()

    def create_execution_context(self, runtime_config):
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
