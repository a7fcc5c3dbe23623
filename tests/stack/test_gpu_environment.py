"""Which environment Triton runs in, and what the one for GPUs needs."""

import sys
from pathlib import Path

import pytest

from deploy.local.errors import StackError
from deploy.local.settings import StackSettings
from deploy.local.triton.gpu import check_compiler, triton_environment
from deploy.local.triton.installation import TritonFiles


@pytest.fixture
def settings(tmp_path: Path) -> StackSettings:
    """An environment for GPUs that is installed, with a Python whose headers are there."""
    made = StackSettings(
        triton_environment=tmp_path / ".triton", gpu_environment=tmp_path / ".triton-gpu"
    )
    (made.gpu_environment / "bin").mkdir(parents=True)
    python = made.gpu_environment / "bin" / "python3"
    python.write_text(f"#!/bin/sh\necho {tmp_path}/python3.11\n")
    python.chmod(0o755)
    (tmp_path / "python3.11").mkdir()
    (tmp_path / "python3.11" / "Python.h").touch()
    (made.gpu_environment / ".installed").touch()
    return made


def test_a_gpu_that_works_is_used(settings: StackSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", sys.executable)
    environment, said = triton_environment(settings, lambda: "")
    assert environment == settings.gpu_environment
    assert said == "Triton runs models on the GPU, with PyTorch (.triton-gpu)."


def test_else_the_processor_is_and_it_is_said_why(settings: StackSettings) -> None:
    environment, said = triton_environment(settings, lambda: "there is no NVIDIA driver.")
    assert environment == settings.triton_environment
    assert said == "Triton runs models on the processor (.triton): there is no NVIDIA driver."
    (settings.gpu_environment / ".installed").unlink()
    environment, said = triton_environment(settings, lambda: "")
    assert environment == settings.triton_environment
    assert said.endswith("there is a GPU, and no .triton-gpu for it: run `make triton-gpu`.")


def test_a_compiler_that_is_missing_is_a_sentence(
    settings: StackSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(StackError, match="there is no C compiler: install gcc"):
        triton_environment(settings, lambda: "")


def test_headers_that_are_missing_are_a_sentence(
    settings: StackSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CC", sys.executable)
    (settings.gpu_environment.parent / "python3.11" / "Python.h").unlink()
    with pytest.raises(StackError, match=r"Python\.h is missing: .*apt install libpython3\.11-dev"):
        check_compiler(settings.gpu_environment)


def test_what_is_compiled_lies_in_the_environment(tmp_path: Path) -> None:
    here = tmp_path / ".triton-gpu"
    variables = TritonFiles(here, here, here, here, here, "").variables(tmp_path)
    assert variables["TRITON_CACHE_DIR"] == str(here / "cache" / "triton")
    assert variables["TORCHINDUCTOR_CACHE_DIR"] == str(here / "cache" / "inductor")
