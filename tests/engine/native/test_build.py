"""The library is compiled where a compiler works, and nothing is broken where none does."""

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine.native.build import LIBRARY, SOURCES, Compilation, main

ROOT = Path(__file__).resolve().parents[3]
KERNEL_CHECK = Path(__file__).with_name("kernel_check.cpp")


def run(*arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """`python -m engine.native.build` without the packages of this Python, ziglang among them."""
    kept = {name: value for name, value in os.environ.items() if name not in ("CI", "CXX")}
    return subprocess.run(
        [sys.executable, "-S", "-m", "engine.native.build", *arguments],
        cwd=ROOT,
        env=kept | variables,
        capture_output=True,
        text=True,
        check=False,
    )


def program(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "libseqway.so"


@pytest.fixture
def pretender(tmp_path: Path) -> Path:
    """A compiler that writes its arguments to what it was asked to make."""
    script = 'all="$@"; while [ "$1" != -o ]; do shift; done; echo "$all" > "$2"'
    return program(tmp_path / "c++", script)


def test_nothing_of_the_cpp_behind_the_library_is_seen(backends: list[str]) -> None:
    assert backends[-1] == "generic"
    assert not hasattr(ctypes.CDLL(str(LIBRARY)), "_ZN6seqway8backendsEv")


@pytest.mark.skipif(os.environ.get("CI") != "true", reason="elsewhere a warning is no error")
def test_continuous_integration_compiles_without_warnings() -> None:
    assert Compilation().note.read_text(encoding="utf-8").endswith("-Werror")


def test_without_a_compiler_there_is_a_notice(output: Path) -> None:
    done = run("--output", str(output), PATH="")
    assert done.returncode == 0
    assert done.stderr.splitlines() == [
        "native: libseqway.so was not compiled.",
        "native: There is no C++ compiler (Debian: apt install g++).",
        "native: Models run on ONNX Runtime instead; `make native` tries again.",
    ]
    assert not output.exists()


def test_without_a_compiler_continuous_integration_fails(output: Path) -> None:
    assert run("--output", str(output), PATH="", CI="true").returncode == 1


@pytest.mark.parametrize("ci", [False, True])
def test_what_a_compiler_says_is_told(tmp_path: Path, output: Path, ci: bool) -> None:
    said = "model.h:1: note: here\\nmodel.h:2: error: expected ;\\n1 error generated."
    failing = program(tmp_path / "failing", f"printf '{said}' >&2; exit 3")
    variables = {"CXX": str(failing)} | ({"CI": "true"} if ci else {})
    done = run("--output", str(output), **variables)
    assert done.returncode == ci
    assert done.stderr.splitlines()[:4] == [
        "native: libseqway.so was not compiled.",
        f"native: {failing} failed:",
        "native: model.h:2: error: expected ;",
        "native: 1 error generated.",
    ]


def test_a_compiler_that_is_not_there_is_told(output: Path) -> None:
    done = run("--output", str(output), CXX="/nowhere/g++")
    assert done.returncode == 0
    assert "/nowhere/g++ failed:" in done.stderr


def test_the_next_compiler_is_tried(tmp_path: Path, output: Path, pretender: Path) -> None:
    program(tmp_path / "g++", "exit 1")
    done = run("--output", str(output), PATH=str(tmp_path))
    assert done.returncode == 0
    assert output.exists()
    assert "compiled libseqway.so by c++, " in done.stderr


def test_it_is_compiled_again_for_other_flags_or_newer_sources(
    output: Path,
    pretender: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def compiles(*options: str) -> bool:
        assert main([*options, "--output", str(output)]) == 0
        return "up to date" not in capsys.readouterr().err

    monkeypatch.setenv("CXX", str(pretender))
    assert compiles()
    assert "--version-script" in output.read_text()
    assert not compiles()
    assert compiles("--strict")
    assert not compiles("--strict")
    os.utime(output, (1, 1))
    assert compiles("--strict")
    monkeypatch.setenv("CXX", f"{pretender} -v")
    assert compiles("--strict")
    assert sorted(path.name for path in output.parent.iterdir()) == [
        "libseqway.so",
        "libseqway.so.flags",
    ]


def test_a_library_of_earlier_sources_does_not_stay(output: Path, pretender: Path) -> None:
    """Its answers may be others than those of the Python beside it."""
    assert run("--output", str(output), CXX=str(pretender)).returncode == 0
    assert run("--output", str(output), "--strict", CXX="false").returncode == 0
    assert output.exists()
    os.utime(output, (1, 1))
    assert run("--output", str(output), CXX="false").returncode == 0
    assert not output.exists()


def test_sources_that_are_edited_meanwhile_are_compiled_again(
    tmp_path: Path, pretender: Path, output: Path
) -> None:
    edited = tmp_path / "edited.cpp"
    editing = program(tmp_path / "editing", f'touch {edited}; exec {pretender} "$@"')
    edited.touch()
    options = ("--program", str(edited), "--output", str(output))
    for _ in range(2):
        done = run(*options, CXX=str(editing))
        assert "compiled" in done.stderr, done.stderr


def test_the_file_in_use_is_replaced_and_not_written_to(output: Path, pretender: Path) -> None:
    output.parent.mkdir()
    output.write_text("old")
    with output.open() as opened:
        assert run("--output", str(output), CXX=str(pretender)).returncode == 0
        assert opened.read() == "old"
    assert output.read_text() != "old"


def test_a_program_that_cannot_be_compiled_is_an_error(tmp_path: Path) -> None:
    options = ("--program", str(KERNEL_CHECK), "--output", str(tmp_path / "check"))
    assert run(*options, CXX="false").returncode == 1


def test_products_are_fused_where_the_source_says_so() -> None:
    assert "-ffp-contract=off" in Compilation().flags
    assert len(Compilation().files) == len(list(SOURCES.glob("*.cpp")))
