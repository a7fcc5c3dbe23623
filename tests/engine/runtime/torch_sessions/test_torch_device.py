"""What PyTorch's device says of a GPU that fails; a twin of `torch.cuda` stands for one."""

from contextlib import nullcontext

import pytest
import torch

from engine.runtime.sessions.session import DeviceLostError
from engine.runtime.sessions.torch.device import TorchDevice

ILLEGAL = "CUDA error: an illegal memory access was encountered\nSearch for `cudaErrorIllegal'"


class TwinStream:
    """A stream; once it is `broken` whatever waits for it says so."""

    broken: RuntimeError | None = None

    def synchronize(self) -> None:
        if self.broken:
            raise self.broken


@pytest.fixture
def stream() -> TwinStream:
    return TwinStream()


@pytest.fixture
def device(stream: TwinStream, monkeypatch: pytest.MonkeyPatch) -> TorchDevice:
    """GPU 0."""
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "init", lambda: None)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "Stream", lambda _: stream)
    monkeypatch.setattr(torch.cuda, "stream", nullcontext)
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: False)
    return TorchDevice(0)


@pytest.mark.parametrize(
    "error",
    [
        torch.AcceleratorError(ILLEGAL),
        RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasLtMatmul`"),
        RuntimeError("Triton Error [CUDA]: an illegal memory access was encountered"),
    ],
)
def test_an_error_that_stays_is_a_loss(
    device: TorchDevice, stream: TwinStream, error: RuntimeError
) -> None:
    stream.broken = torch.AcceleratorError(ILLEGAL)
    with pytest.raises(DeviceLostError) as lost, device.use():
        raise error
    first_line = str(error).partition("\n")[0]
    assert str(lost.value) == f"this process has lost GPU 0: {first_line}."


def test_it_shows_where_the_host_waits(device: TorchDevice, stream: TwinStream) -> None:
    device.wait()
    stream.broken = torch.AcceleratorError("CUDA error: uncorrectable ECC error encountered")
    with pytest.raises(DeviceLostError, match=r"lost GPU 0: CUDA error: uncorrectable ECC error"):
        device.wait()
    with pytest.raises(DeviceLostError), device.use(), device.use():
        device.wait()


def test_an_error_of_one_call_is_none(device: TorchDevice) -> None:
    for error in (torch.OutOfMemoryError("CUDA out of memory"), ValueError("an odd shape")):
        with pytest.raises(type(error)), device.use():
            raise error


def test_nothing_is_waited_for_while_a_graph_is_captured(
    device: TorchDevice, stream: TwinStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: True)
    stream.broken = torch.AcceleratorError("operation not permitted when stream is capturing")
    with pytest.raises(RuntimeError, match="not in a graph"), device.use():
        raise RuntimeError("not in a graph")


def test_a_processor_is_never_lost() -> None:
    with pytest.raises(RuntimeError, match="odd"), TorchDevice(None).use():
        raise RuntimeError("odd")
