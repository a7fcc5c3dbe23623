"""The device that a torch session runs on, and whether it can."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from engine.runtime.decoding.selection import Ints
from engine.runtime.sessions.session import DeviceLostError
from engine.runtime.sessions.torch.errors import TorchMemoryError, TorchMissingError

_SPARE = 512 << 20
"""Bytes that stay free: for workspaces of cuBLAS, graphs, and what an encoder holds on its way."""


class TorchDevice:
    """A processor, or a GPU with a stream of its own: lanes do not wait for each other.

    `index` is the GPU's, None stands for the processor.

    Raises:
        TorchMissingError: PyTorch can't use that GPU; the message says why.

    """

    def __init__(self, index: int | None) -> None:
        self.is_cuda = index is not None
        if index is None:
            self.device = torch.device("cpu")
            return
        _require_cuda(index)
        self.device = torch.device("cuda", index)
        self.stream = torch.cuda.Stream(self.device)
        # Sums of FP16 products are FP32 throughout, as those of the other sessions.
        torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = False
        torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False

    def sibling(self) -> "TorchDevice":
        """The same device, with a stream of its own."""
        return TorchDevice(self.device.index if self.is_cuda else None)

    @contextmanager
    def use(self) -> Iterator[None]:
        """Has this thread compute here, without gradients.

        Raises:
            DeviceLostError: an error of CUDA's, in here or before, that this process keeps.

        """
        with torch.inference_mode():
            if not self.is_cuda:
                yield
                return
            with torch.cuda.stream(self.stream), self._watched():
                yield

    def wait(self) -> None:
        """Returns when all that was begun is done.

        Raises:
            DeviceLostError: as of `use`.

        """
        if self.is_cuda:
            with self._watched():
                self.stream.synchronize()

    def mark(self) -> "torch.cuda.Event | None":
        """What `wait_for` waits for: all that was begun before this."""
        return self.stream.record_event() if self.is_cuda else None

    def wait_for(self, mark: "torch.cuda.Event | None") -> None:
        """Returns when all that was begun before `mark` is done; what was begun since goes on.

        Raises:
            DeviceLostError: as of `use`.

        """
        if mark is not None:
            with self._watched():
                mark.synchronize()

    def pinned(self, tensor: Tensor) -> Tensor:
        """The same on the host, where a GPU reads and writes it while the host does other work."""
        return tensor.pin_memory() if self.is_cuda else tensor

    def upload(self, array: Ints) -> Tensor:
        """A copy on the device, for which nothing is waited: `array` may be changed at once."""
        return self.pinned(torch.from_numpy(array)).to(self.device, non_blocking=True, copy=True)

    @contextmanager
    def _watched(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            if not self._is_lost():
                raise
            reason = str(error).partition("\n")[0].strip().rstrip(".")
            raise DeviceLostError(
                f"this process has lost GPU {self.device.index}: {reason}."
            ) from error

    def _is_lost(self) -> bool:
        """Whether the next call fails too: what is wrong with one call alone is told once.

        PyTorch tells of these errors in exceptions of several kinds, cuBLAS's and those of Triton's
        language among them, so that neither kind nor number says which are of the lasting ones.
        """
        try:
            if torch.cuda.is_current_stream_capturing():
                return False  # nothing may be waited for, and nothing has run
            self.stream.synchronize()
        except RuntimeError:
            return True
        return False

    def require(self, size: int, what: str) -> None:
        """Checks that so many bytes fit.

        Raises:
            TorchMemoryError: they do not.

        """
        if not self.is_cuda:
            return
        free, _ = torch.cuda.mem_get_info(self.device)
        # What PyTorch holds but does not use is free too.
        free += torch.cuda.memory_reserved(self.device) - torch.cuda.memory_allocated(self.device)
        if size + _SPARE > free:
            raise TorchMemoryError(
                f"{what} needs {_gigabytes(size + _SPARE)} and GPU {self.device.index} has "
                f"{_gigabytes(free)} free: lower max_rows, or serve fewer variants on it."
            )


def _gigabytes(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"


def _require_cuda(index: int) -> None:
    if torch.version.cuda is None:
        raise TorchMissingError(
            f"PyTorch {torch.__version__} is built without CUDA: install a build that has it."
        )
    try:
        torch.cuda.init()
    except (RuntimeError, AssertionError) as error:
        # No driver, or one that is too old: PyTorch's first sentence says which.
        reason = str(error).split(". ")[0].strip().rstrip(".")
        raise TorchMissingError(
            f"PyTorch {torch.__version__} for CUDA {torch.version.cuda} can't use a GPU: {reason}."
        ) from error
    if index >= torch.cuda.device_count():
        raise TorchMissingError(
            f"GPU {index} does not exist: PyTorch sees {torch.cuda.device_count()}."
        )
