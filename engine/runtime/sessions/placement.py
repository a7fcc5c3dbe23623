"""Which session runs a variant, and on how many lanes.

TensorRT's on a GPU; on the processor native code, or ONNX Runtime where that was not built, or the
variant was exported without what it reads.
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
from engine.runtime.sessions.session import Session
from engine.runtime.sessions.tensorrt.cuda import Cuda
from engine.runtime.sessions.tensorrt.encoder_session import TensorRTEncoderSession
from engine.runtime.sessions.tensorrt.library import TensorRT, load_tensorrt
from engine.runtime.sessions.tensorrt.plan import plans_for, read_plan
from engine.runtime.sessions.tensorrt.session import TensorRTSession

logger = logging.getLogger(__name__)

# Version 2 of control groups, as a process in a container sees its own.
_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def open_session(
    folder: Path, manifest: Manifest, threads: int, capacity: int, device: int | None
) -> Session:
    """The session of a generating variant: on GPU `device`, or None for the processor.

    Raises:
        PlanError: no plan of the variant runs on that GPU.
        TensorRTMissingError: the TensorRT that its plans were built with is not installed.
        CudaError: CUDA does not work.
        WeightsError: what native code reads is damaged.

    """
    if device is None:
        if have_weights(folder):
            try:
                return NativeSession(folder, manifest)
            except NativeMissingError as error:
                logger.warning("%s runs on ONNX Runtime, more slowly: %s", manifest.name, error)
        return OnnxSession(folder, manifest, threads)
    cuda = Cuda(device)
    return TensorRTSession(folder, manifest, capacity, _library(folder, cuda), cuda)


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
