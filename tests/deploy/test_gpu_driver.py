"""What the image for GPUs says of a driver; twins of NVIDIA's library stand for drivers."""

import os
import subprocess
import sys
from ctypes import c_int
from pathlib import Path
from typing import Any

import pytest

from deploy.images.commands import gpu_driver
from tests.deploy.rendering import ROOT

MODULE = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  {}  Wed Dec  4 16:24:03 UTC 2026\n"


class TwinDriver:
    """The library of a driver that runs a CUDA of `version`, and says `started` to `cuInit`."""

    def __init__(self, version: int, started: int = 0) -> None:
        self._version, self._started = version, started

    def cuDriverGetVersion(self, number: Any) -> int:  # noqa: N802 - CUDA's name
        number._obj.value = c_int(self._version).value
        return 0

    def cuInit(self, _flags: int) -> int:  # noqa: N802 - CUDA's name
        return self._started


def fault(driver: TwinDriver, module: Path) -> str:
    return gpu_driver.fault(lambda _: driver, module)


def _missing(name: str) -> None:
    raise OSError(f"{name}: cannot open shared object file")


@pytest.fixture
def module(tmp_path: Path) -> Path:
    """What the kernel tells of a driver that is too old."""
    path = tmp_path / "version"
    path.write_text(MODULE.format("570.86.10"))
    return path


def test_a_driver_that_does_is_not_mentioned(tmp_path: Path) -> None:
    assert fault(TwinDriver(13000), tmp_path / "version") == ""


def test_a_driver_that_is_missing_or_was_not_passed_in(tmp_path: Path, module: Path) -> None:
    assert gpu_driver.fault(_missing, tmp_path / "none") == "there is no NVIDIA driver."
    said = gpu_driver.fault(_missing, module)
    assert "570.86.10" in said and "docker: --gpus all" in said


def test_a_driver_that_is_too_old_is_named(module: Path) -> None:
    assert fault(TwinDriver(12080), module) == (
        "NVIDIA's driver is too old: 570.86.10 runs CUDA 12.8, and CUDA 13 needs driver 580 or "
        "newer."
    )
    module.write_text("no number")
    assert "an unknown version runs CUDA 12.8" in fault(TwinDriver(12080), module)


def test_libraries_of_forward_compatibility_count(module: Path) -> None:
    """They run CUDA 13 on an older driver, on GPUs of data centers."""
    assert fault(TwinDriver(13000), module) == ""
    assert "forward compatibility do not run on this GPU" in fault(TwinDriver(13000, 804), module)


@pytest.mark.parametrize(
    ("error", "sentence"),
    [(100, "no GPU can be seen"), (803, "restart the machine"), (999, "(error 999)")],
)
def test_a_driver_without_a_gpu_says_why(module: Path, error: int, sentence: str) -> None:
    assert sentence in fault(TwinDriver(13010, error), module)


def test_the_image_starts_no_triton_without_a_gpu(tmp_path: Path) -> None:
    """One sentence, and the end: a pod that is many times slower would pass for ready."""
    programs = tmp_path / "bin"
    programs.mkdir()
    triton = programs / "seqway-triton"
    triton.write_text('#!/bin/sh\necho "started $@"\n')
    python = programs / "python3"
    python.symlink_to(sys.executable)
    library = tmp_path / "libcuda.so.1"
    library.write_bytes(b"no library")
    triton.chmod(0o755)
    script = ROOT / "deploy" / "images" / "bin" / "seqway-triton-gpu"
    environment = {
        **os.environ,
        "PATH": f"{programs}:/usr/bin:/bin",
        "PYTHONPATH": str(ROOT),
        "LD_LIBRARY_PATH": str(tmp_path),
    }

    def start() -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [script, "--model-repository=/models"],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    refused = start()
    assert (refused.returncode, refused.stdout) == (1, "")
    (sentence,) = refused.stderr.splitlines()
    assert sentence.startswith("seqway-gpu-driver: ")
    assert "driver 580 or newer; the image triton-cpu runs models on processors" in sentence
    python.unlink()
    python.write_text("#!/bin/sh\nexit 0\n")
    python.chmod(0o755)
    assert start().stdout == "started --model-repository=/models\n"
