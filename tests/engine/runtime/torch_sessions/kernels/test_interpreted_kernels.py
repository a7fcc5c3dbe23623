"""Kernels compute what plain torch does: those in Triton's language without a GPU, by hand."""

import subprocess
import sys
from pathlib import Path

from tests.engine.runtime.torch_sessions.kernels.conftest import interpreted, require_language

CHECKS = Path(__file__).with_name("interpreted_kernels.py")


def test_kernels_equal_plain_torch() -> None:
    require_language()
    found = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist", CHECKS],
        env=interpreted(),
        cwd=CHECKS.parents[5],
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert found.returncode == 0, found.stdout + found.stderr
    assert "passed" in found.stdout
