"""Kernels compute what plain torch does: those in Triton's language without a GPU, by hand."""

from pathlib import Path

from tests.engine.runtime.torch_sessions.kernels.conftest import assert_interpreted


def test_kernels_equal_plain_torch() -> None:
    assert_interpreted(Path(__file__).with_name("interpreted_kernels.py"))
