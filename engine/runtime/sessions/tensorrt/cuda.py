"""CUDA's runtime as far as sessions need it: memory, copies, a stream, graphs. Errors raise.

`api` is the module `cuda.bindings.runtime`, whose functions return the error first.  Everything is
put on the stream of its lane, which does not wait for the legacy stream: what one lane does is no
part of what another one captures, and spoils no capture.
"""

import ctypes
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.runtime.sessions.session import DeviceLostError

LASTING = frozenset({214, 220, 700, 702, 710, *range(714, 720)})
"""Numbers of `cudaError` after which only another process may use the GPU, by its reference.

Faults of memory and of links between GPUs, illegal addresses, instructions and launches.
"""


class CudaError(RuntimeError):
    """A call of CUDA failed, or there is no CUDA; the message names the call."""


@dataclass(frozen=True)
class DeviceArray:
    """Memory of the GPU: its address and size in bytes."""

    address: int
    size: int


@dataclass(frozen=True)
class DeviceStack:
    """Arrays of equal size, `stride` bytes from one to the next, each in lines of `pitch` bytes.

    A stride is a whole number of lines.
    """

    address: int
    stride: int
    pitch: int


class Cuda:
    """One device, with a stream of its own; used by one thread at a time.

    Every call raises `CudaError` when it fails, or `DeviceLostError` when all that follow do.
    """

    def __init__(self, device: int = 0, api: Any = None) -> None:
        self.api = api or load_cuda()
        self.device = device
        self._kinds = self.api.cudaMemcpyKind
        self.use()
        flags = self.api.cudaStreamNonBlocking
        self.stream = int(self._call("cudaStreamCreateWithFlags", flags))
        self._box = self.api.cudaMemcpy3DParms()
        self._box.kind = self._kinds.cudaMemcpyDeviceToDevice

    def sibling(self) -> "Cuda":
        """The same device with another stream."""
        return Cuda(self.device, self.api)

    def use(self) -> None:
        """Makes the device that of the calling thread."""
        self._call("cudaSetDevice", self.device)

    @property
    def compute_capability(self) -> str:
        """Such as "8.9"."""
        names = self.api.cudaDeviceAttr
        major, minor = (
            self._call("cudaDeviceGetAttribute", name, self.device)
            for name in (
                names.cudaDevAttrComputeCapabilityMajor,
                names.cudaDevAttrComputeCapabilityMinor,
            )
        )
        return f"{int(major)}.{int(minor)}"

    def empty(self, size: int) -> DeviceArray:
        """`size` bytes on the device, which the stream fills with zeros."""
        array = DeviceArray(int(self._call("cudaMalloc", size)), size)
        self.clear(array)
        return array

    def free(self, array: DeviceArray) -> None:
        """Gives memory back, when the stream has done what it was given before."""
        self.wait()
        self._call("cudaFree", array.address)

    def clear(self, array: DeviceArray) -> None:
        """Fills memory with zeros."""
        self._call("cudaMemsetAsync", array.address, 0, array.size, self.stream)

    def clear_lines(self, address: int, pitch: int, width: int, lines: int) -> None:
        """Fills lines of `width` bytes with zeros, each `pitch` bytes behind the one before."""
        self._call("cudaMemset2DAsync", address, pitch, 0, width, lines, self.stream)

    def pinned(self, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        """An array of zeros in page-locked memory, which copies need not wait for."""
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        address = int(self._call("cudaHostAlloc", size, 0))
        content = (ctypes.c_uint8 * size).from_address(address)
        array = np.frombuffer(content, dtype=dtype).reshape(shape)
        array[...] = 0
        return array

    def upload(self, array: NDArray[Any], to: DeviceArray) -> None:
        """Copies a contiguous array to the device."""
        assert array.nbytes <= to.size and array.flags.c_contiguous
        kind = self._kinds.cudaMemcpyHostToDevice
        source = array.ctypes.data
        self._call("cudaMemcpyAsync", to.address, source, array.nbytes, kind, self.stream)

    def download(self, source: DeviceArray, to: NDArray[Any]) -> None:
        """Copies the start of device memory to a contiguous array; it is there after `wait`."""
        assert to.nbytes <= source.size and to.flags.c_contiguous
        kind = self._kinds.cudaMemcpyDeviceToHost
        address = to.ctypes.data
        self._call("cudaMemcpyAsync", address, source.address, to.nbytes, kind, self.stream)

    def copy_rows(
        self, source: int, source_pitch: int, to: int, to_pitch: int, width: int, rows: int
    ) -> None:
        """Copies `rows` rows of `width` bytes between addresses on the device, pitches in bytes."""
        if width and rows:
            kind = self._kinds.cudaMemcpyDeviceToDevice
            self._call(
                "cudaMemcpy2DAsync",
                to, to_pitch, source, source_pitch, width, rows, kind, self.stream,
            )  # fmt: skip

    def copy_box(
        self, stack: DeviceStack, source: int, to: int, width: int, lines: int, depth: int
    ) -> None:
        """Copies within the first `depth` arrays of a stack, between two offsets in each.

        `width` bytes of each of so many lines; offsets are in bytes.
        """
        if not width:
            return
        box, height = self._box, stack.stride // stack.pitch
        for pointer, offset in ((box.srcPtr, source), (box.dstPtr, to)):
            pointer.ptr = stack.address + offset
            pointer.pitch = pointer.xsize = stack.pitch
            pointer.ysize = height
        box.extent.width, box.extent.height, box.extent.depth = width, lines, depth
        self._call("cudaMemcpy3DAsync", box, self.stream)

    def wait(self) -> None:
        """Waits until the stream has done all."""
        self._call("cudaStreamSynchronize", self.stream)

    def capture(self, work: Callable[[], None]) -> int:
        """A graph of what `work` puts on the stream; nothing of it runs yet."""
        mode = self.api.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        self._call("cudaStreamBeginCapture", self.stream, mode)
        try:
            work()
        except BaseException:
            # The capture is broken, and says so again: the first error is the one to tell.
            self.api.cudaStreamEndCapture(self.stream)
            raise
        graph = self._call("cudaStreamEndCapture", self.stream)
        executable = int(self._call("cudaGraphInstantiate", graph, 0))
        self._call("cudaGraphDestroy", graph)
        return executable

    def launch(self, graph: int) -> None:
        """Runs a graph on the stream."""
        self._call("cudaGraphLaunch", graph, self.stream)

    def _call(self, name: str, *arguments: Any) -> Any:
        error, *results = getattr(self.api, name)(*arguments)
        if int(error):
            reason = f"{name} failed: {getattr(error, 'name', error)}."
            if int(error) in LASTING:
                raise DeviceLostError(f"this process has lost GPU {self.device}: {reason}")
            raise CudaError(reason)
        return results[0] if results else None


def load_cuda() -> Any:
    """The bindings of CUDA's runtime.

    Raises:
        CudaError: they are not installed.

    """
    try:
        return importlib.import_module("cuda.bindings.runtime")
    except ImportError as error:
        raise CudaError("the package cuda-bindings is not installed.") from error


def count_devices(api: Any = None) -> int:
    """How many GPUs there are; 0 without a driver or the bindings."""
    try:
        error, count = (api or load_cuda()).cudaGetDeviceCount()
    except CudaError:
        return 0
    return 0 if int(error) else int(count)
