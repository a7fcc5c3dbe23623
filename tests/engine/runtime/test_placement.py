import os
from pathlib import Path

import pytest

from engine.contract.manifest import read_manifest
from engine.native.library import NativeMissingError
from engine.runtime.sessions.onnx_session import OnnxSession
from engine.runtime.sessions.placement import open_session, usable_cores


@pytest.mark.parametrize(
    ("text", "most"),
    [("max 100000", 10_000), ("100000 100000", 1), ("150000 100000", 2), ("5000 100000", 1)],
)
def test_a_quota_bounds_the_cores(tmp_path: Path, text: str, most: int) -> None:
    (tmp_path / "cpu.max").write_text(f"{text}\n")
    assert usable_cores(tmp_path / "cpu.max") == min(most, len(os.sched_getaffinity(0)))


def test_without_a_quota_all_count(tmp_path: Path) -> None:
    assert usable_cores(tmp_path / "missing") == len(os.sched_getaffinity(0))
    (tmp_path / "odd").write_text("nothing")
    assert usable_cores(tmp_path / "odd") == len(os.sched_getaffinity(0))


def test_without_the_native_library_onnx_runtime_serves_and_it_is_said(
    repository: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def missing() -> None:
        raise NativeMissingError("no library: build it with `make native`")

    monkeypatch.setattr("engine.native.library.library", missing)
    files = repository / "pegasus_int8" / "1"
    session = open_session(files, read_manifest(files), threads=1, capacity=4, device=None)
    assert type(session) is OnnxSession
    assert "pegasus_int8 runs on ONNX Runtime" in caplog.text
    assert "make native" in caplog.text
