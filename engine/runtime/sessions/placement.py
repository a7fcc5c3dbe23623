"""Which session runs a variant, and on how many lanes.

On a GPU TensorRT's where plans fit, else PyTorch's where that can use the GPU.  Without either, and
on the processor, native code, or ONNX Runtime where that was not built, or the variant was exported
without what it reads.
"""

import logging
import math
import os
from pathlib import Path

from engine.contract.manifest import Manifest
from engine.native.library import NativeMissingError
from engine.native.weights import have_weights
from engine.runtime.encoders.native_session import NativeEncoderSession
from engine.runtime.encoders.session import EncoderRunner, EncoderSession
from engine.runtime.sessions.native_session import NativeSession
from engine.runtime.sessions.onnx_session import OnnxSession
from engine.runtime.sessions.session import DeviceLostError, Session
from engine.runtime.sessions.tensorrt.cuda import Cuda, CudaError
from engine.runtime.sessions.tensorrt.encoder_session import TensorRTEncoderSession
from engine.runtime.sessions.tensorrt.library import TensorRT, TensorRTMissingError, load_tensorrt
from engine.runtime.sessions.tensorrt.plan import PlanError, plans_for, read_plan
from engine.runtime.sessions.tensorrt.session import TensorRTSession
from engine.runtime.sessions.torch.errors import TorchMissingError

logger = logging.getLogger(__name__)

# Version 2 of control groups, as a process in a container sees its own.
_QUOTA = Path("/sys/fs/cgroup/cpu.max")


SESSION_VARIABLE = "SEQWAY_SESSION"
"""The environment variable that has "torch" run variants also where another session would."""

_UNUSABLE = (PlanError, TensorRTMissingError, CudaError, DeviceLostError, TorchMissingError)
"""Why a GPU, or what runs there, does not do for a variant."""


def open_session(
    folder: Path, manifest: Manifest, threads: int, capacity: int, device: int | None
) -> Session:
    """The session of a generating variant: for GPU `device`, or None for the processor.

    A line in the log says which one runs on a GPU, or why none does.

    Raises:
        TorchMemoryError: PyTorch runs it, and the GPU has not enough memory.
        TorchMissingError: PyTorch is asked for, and is missing or can't use the GPU.
        WeightsError: what native code and PyTorch read is damaged.

    """
    if forced := os.environ.get(SESSION_VARIABLE):
        if forced != "torch":
            raise ValueError(f'{SESSION_VARIABLE} is {forced!r}, and can only be "torch".')
        return open_torch_session(folder, manifest, capacity, device)
    if device is None:
        return _open_processor_session(folder, manifest, threads)
    reasons: list[str] = []
    for name, opened in (("TensorRT", open_tensorrt_session), ("PyTorch", open_torch_session)):
        try:
            session = opened(folder, manifest, capacity, device)
        except _UNUSABLE as error:
            reasons.append(str(error))
            continue
        why = "".join(f": {reason}" for reason in reasons)
        logger.info("%s runs with %s on GPU %d%s", manifest.name, name, device, why)
        return session
    where, why = "runs on the processor, not on GPU", " ".join(reasons)
    logger.warning("%s %s %d: %s", manifest.name, where, device, why)
    return _open_processor_session(folder, manifest, threads)


def _open_processor_session(folder: Path, manifest: Manifest, threads: int) -> Session:
    if have_weights(folder):
        try:
            return NativeSession(folder, manifest)
        except NativeMissingError as error:
            logger.warning("%s runs on ONNX Runtime, more slowly: %s", manifest.name, error)
    return OnnxSession(folder, manifest, threads)


def open_tensorrt_session(folder: Path, manifest: Manifest, capacity: int, device: int) -> Session:
    """TensorRT's session of a generating variant.

    Raises:
        PlanError: no plan of the variant runs on that GPU.
        TensorRTMissingError: the TensorRT that its plans were built with is not installed.
        CudaError: CUDA does not work.

    """
    cuda = Cuda(device)
    return TensorRTSession(folder, manifest, capacity, _library(folder, cuda), cuda)


def open_torch_session(
    folder: Path, manifest: Manifest, capacity: int, device: int | None
) -> Session:
    """PyTorch's session of a generating variant, on a GPU or, None, on the processor.

    Raises:
        TorchMissingError: PyTorch is not installed, can't use that GPU, or has nothing to read.
        TorchMemoryError: the GPU has not enough memory.
        WeightsError: the variant's weights are damaged.

    """
    if not have_weights(folder):
        raise TorchMissingError(f"{folder} has no weights for PyTorch: export the variant again.")
    try:
        from engine.runtime.sessions.torch.session import TorchSession
    except ImportError as error:
        raise TorchMissingError(f"PyTorch can't be imported ({error}): install it.") from error
    return TorchSession(folder, manifest, capacity, device)


def open_encoder_session(
    folder: Path, manifest: Manifest, threads: int, device: int | None
) -> EncoderRunner:
    """As `open_session`, of an encoder variant."""
    if device is None:
        if have_weights(folder):
            try:
                return NativeEncoderSession(folder, manifest)
            except NativeMissingError as error:
                logger.warning("%s runs on ONNX Runtime, more slowly: %s", manifest.name, error)
        return EncoderSession(folder, manifest, threads)
    cuda = Cuda(device)
    return TensorRTEncoderSession(folder, manifest, _library(folder, cuda), cuda)


def lanes_of(session: Session) -> int:
    """As `default_lanes`, for what runs a variant, be it where it was meant to or not."""
    return usable_cores() if isinstance(session, NativeSession | OnnxSession) else 1


def default_lanes(device: int | None) -> int:
    """One for each core that the process may use, or one on a GPU, which a lane keeps busy."""
    return 1 if device is not None else usable_cores()


def usable_cores(quota: Path = _QUOTA) -> int:
    """Those that it may run on, and no more than its control group pays for; 1 or more.

    A container with a limit of 4 on a machine with 64 would else get 64 lanes, which stop each
    other whenever the quota of a period is used up.
    """
    cores = len(os.sched_getaffinity(0))
    try:
        allowed, period = quota.read_text().split()
    except (OSError, ValueError):
        return cores
    if allowed == "max":
        return cores
    return max(1, min(cores, math.ceil(int(allowed) / int(period))))


def _library(folder: Path, cuda: Cuda) -> TensorRT:
    """The flavour that the variant's plans for a GPU were built with."""
    return load_tensorrt(read_plan(plans_for(folder, cuda.compute_capability)).flavour)
