"""Which session runs a variant, on how many lanes and within which limits.

On a GPU TensorRT's where plans fit, else PyTorch's where that can use the GPU.  Without either, and
on the processor, native code, or ONNX Runtime where that was not built, or the variant was exported
without what it reads.
"""

import logging
import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from engine.contract.manifest import Manifest
from engine.native.library import NativeMissingError
from engine.native.weights import have_weights
from engine.runtime.batching.scheduler import TOKEN_BUDGET, Limits
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

_STARTING_TOKENS = 16
"""Source tokens for each slot that a GPU encodes at once: twice what it answers in a launch."""

_ON_PROCESSORS = NativeSession | OnnxSession | NativeEncoderSession | EncoderSession

Opened = TypeVar("Opened")


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
    return _opened(
        folder,
        manifest,
        device,
        on_tensorrt=partial(open_tensorrt_session, folder, manifest, capacity),
        on_torch=partial(open_torch_session, folder, manifest, capacity),
        on_native=lambda: NativeSession(folder, manifest),
        on_onnx=lambda: OnnxSession(folder, manifest, threads),
    )


def open_encoder_session(
    folder: Path, manifest: Manifest, threads: int, device: int | None
) -> EncoderRunner:
    """As `open_session`, of an encoder variant."""
    return _opened(
        folder,
        manifest,
        device,
        on_tensorrt=partial(open_tensorrt_encoder, folder, manifest),
        on_torch=partial(open_torch_encoder, folder, manifest),
        on_native=lambda: NativeEncoderSession(folder, manifest),
        on_onnx=lambda: EncoderSession(folder, manifest, threads),
    )


def _opened(
    folder: Path,
    manifest: Manifest,
    device: int | None,
    *,
    on_tensorrt: Callable[[int], Opened],
    on_torch: Callable[[int | None], Opened],
    on_native: Callable[[], Opened],
    on_onnx: Callable[[], Opened],
) -> Opened:
    """The first session that can be opened, in the order that the head of this module tells."""
    if forced := os.environ.get(SESSION_VARIABLE):
        if forced != "torch":
            raise ValueError(f'{SESSION_VARIABLE} is {forced!r}, and can only be "torch".')
        return on_torch(device)
    processor = folder, manifest, on_native, on_onnx
    if device is None:
        return _opened_on_processor(*processor)
    reasons: list[str] = []
    for name, opened in (("TensorRT", on_tensorrt), ("PyTorch", on_torch)):
        try:
            session = opened(device)
        except _UNUSABLE as error:
            reasons.append(str(error))
            continue
        why = "".join(f": {reason}" for reason in reasons)
        logger.info("%s runs with %s on GPU %d%s", manifest.name, name, device, why)
        return session
    where, why = "runs on the processor, not on GPU", " ".join(reasons)
    logger.warning("%s %s %d: %s", manifest.name, where, device, why)
    return _opened_on_processor(*processor)


def _opened_on_processor(
    folder: Path,
    manifest: Manifest,
    on_native: Callable[[], Opened],
    on_onnx: Callable[[], Opened],
) -> Opened:
    if have_weights(folder):
        try:
            return on_native()
        except NativeMissingError as error:
            logger.warning("%s runs on ONNX Runtime, more slowly: %s", manifest.name, error)
    return on_onnx()


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
    with importing_torch(folder):
        from engine.runtime.sessions.torch.session import TorchSession
    return TorchSession(folder, manifest, capacity, device)


def open_tensorrt_encoder(folder: Path, manifest: Manifest, device: int) -> EncoderRunner:
    """As `open_tensorrt_session`, of an encoder variant."""
    cuda = Cuda(device)
    return TensorRTEncoderSession(folder, manifest, _library(folder, cuda), cuda)


def open_torch_encoder(folder: Path, manifest: Manifest, device: int | None) -> EncoderRunner:
    """As `open_torch_session`, of an encoder variant."""
    with importing_torch(folder):
        from engine.runtime.encoders.torch_session import TorchEncoderSession
    return TorchEncoderSession(folder, manifest, device)


@contextmanager
def importing_torch(folder: Path) -> Iterator[None]:
    """Surrounds the import of a session of PyTorch, which has to have something to read."""
    if not have_weights(folder):
        raise TorchMissingError(f"{folder} has no weights for PyTorch: export the variant again.")
    try:
        yield
    except ImportError as error:
        raise TorchMissingError(f"PyTorch can't be imported ({error}): install it.") from error


def lanes_of(session: Session | EncoderRunner) -> int:
    """As `default_lanes`, for what runs a variant, be it where it was meant to or not."""
    return usable_cores() if isinstance(session, _ON_PROCESSORS) else 1


def limits_of(session: Session, limits: Limits) -> Limits:
    """`limits`, and where they leave it open what suits the session that runs a variant.

    On a processor the budget has room for one row of the longest source, which else would wait
    until no other runs.  On a GPU all slots have memory for the longest rows from the start, which
    is checked before it is taken: so any rows may fill them, and rows start as fast as others end.
    """
    longest = session.manifest.max_source_tokens + session.manifest.max_target_tokens
    if isinstance(session, _ON_PROCESSORS):
        if limits.token_budget or longest <= TOKEN_BUDGET:
            return limits
        return replace(limits, token_budget=longest)
    return replace(
        limits,
        token_budget=limits.token_budget or limits.max_rows * longest,
        encoder_tokens=max(limits.encoder_tokens, _STARTING_TOKENS * limits.max_rows),
    )


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
