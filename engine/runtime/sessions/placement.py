"""Which session runs a variant: TensorRT's on a GPU, ONNX Runtime's on the processor."""

from pathlib import Path

from engine.runtime.encoders.session import EncoderRunner, EncoderSession
from engine.runtime.manifest import Manifest
from engine.runtime.sessions.cores import usable_cores
from engine.runtime.sessions.onnx_session import OnnxSession, Session
from engine.runtime.sessions.tensorrt.cuda import Cuda
from engine.runtime.sessions.tensorrt.encoder_session import TensorRTEncoderSession
from engine.runtime.sessions.tensorrt.library import TensorRT, load_tensorrt
from engine.runtime.sessions.tensorrt.plan import plans_for, read_plan
from engine.runtime.sessions.tensorrt.session import TensorRTSession


def open_session(
    folder: Path, manifest: Manifest, threads: int, capacity: int, device: int | None
) -> Session:
    """The session of a generating variant: on GPU `device`, or None for the processor.

    Raises:
        PlanError: no plan of the variant runs on that GPU.
        TensorRTMissingError: the TensorRT that its plans were built with is not installed.
        CudaError: CUDA does not work.

    """
    if device is None:
        return OnnxSession(folder, manifest, threads)
    cuda = Cuda(device)
    return TensorRTSession(folder, manifest, capacity, _library(folder, cuda), cuda)


def open_encoder_session(
    folder: Path, manifest: Manifest, threads: int, device: int | None
) -> EncoderRunner:
    """As `open_session`, of an encoder variant."""
    if device is None:
        return EncoderSession(folder, manifest, threads)
    cuda = Cuda(device)
    return TensorRTEncoderSession(folder, manifest, _library(folder, cuda), cuda)


def default_lanes(device: int | None) -> int:
    """One for each core that the process may use, or one on a GPU, which a lane keeps busy."""
    return 1 if device is not None else usable_cores()


def _library(folder: Path, cuda: Cuda) -> TensorRT:
    """The flavour that the variant's plans for a GPU were built with."""
    return load_tensorrt(read_plan(plans_for(folder, cuda.compute_capability)).flavour)
