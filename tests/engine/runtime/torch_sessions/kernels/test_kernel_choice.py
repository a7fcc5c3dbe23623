"""Which kernels tensors go to, where no GPU is."""

import logging

import pytest
import torch

from engine.runtime.sessions.torch import kernels
from engine.runtime.sessions.torch.kernels import plain
from tests.engine.runtime.torch_sessions.kernels.conftest import require_language

GPU = torch.device("cuda", 0)


@pytest.fixture(autouse=True)
def _forgotten() -> None:
    kernels._kernels_of_gpu.cache_clear()


def test_a_processor_has_plain_ones() -> None:
    assert kernels.kernels_for(torch.device("cpu")) is plain


def test_without_the_language_a_gpu_has_plain_ones_and_the_log_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(kernels, "find_spec", lambda _name: None)
    with caplog.at_level(logging.WARNING):
        assert kernels.kernels_for(GPU) is plain
        assert kernels.kernels_for(GPU) is plain
    [message] = caplog.messages
    assert message == "Triton's language is not installed: steps on cuda:0 take longer."


def test_where_a_first_kernel_fails_a_gpu_has_plain_ones(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    require_language()
    from engine.runtime.sessions.torch.kernels import fused

    def fail(_logits: torch.Tensor) -> None:
        raise RuntimeError("Failed to find C compiler.")

    here = torch.device("cpu")
    monkeypatch.setattr(fused, "choose", fail)
    assert kernels._kernels_of_gpu(here) is plain
    assert "does not work (Failed to find C compiler.)" in caplog.text
    kernels._kernels_of_gpu.cache_clear()
    monkeypatch.setattr(fused, "choose", lambda _logits: None)
    assert kernels._kernels_of_gpu(here) is fused
    assert {*fused.__all__} <= {*kernels.__all__}
