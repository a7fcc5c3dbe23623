import os
from pathlib import Path

import pytest

from engine.contract.manifest import read_manifest
from engine.export.precision.recipes import PRECISIONS, Precision
from engine.native.library import NativeMissingError, is_there
from engine.runtime.encoders.native_session import NativeEncoderSession
from engine.runtime.encoders.session import EncoderSession
from engine.runtime.sessions.onnx_session import OnnxSession
from engine.runtime.sessions.placement import open_encoder_session, open_session, usable_cores
from tests.engine.native.encoders import write_encoder


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


@pytest.fixture
def no_library(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise NativeMissingError("no library: build it with `make native`")

    monkeypatch.setattr("engine.native.library.library", missing)


def test_without_the_native_library_onnx_runtime_serves_and_it_is_said(
    repository: Path, no_library: None, caplog: pytest.LogCaptureFixture
) -> None:
    files = repository / "pegasus_int8" / "1"
    session = open_session(files, read_manifest(files), threads=1, capacity=4, device=None)
    assert type(session) is OnnxSession
    assert "pegasus_int8 runs on ONNX Runtime" in caplog.text
    assert "make native" in caplog.text


def test_without_the_native_library_onnx_runtime_serves_encoders_too(
    tmp_path: Path, no_library: None, caplog: pytest.LogCaptureFixture
) -> None:
    variant = write_encoder(tmp_path / "bert", "bert", "spans", "fp32")
    session = open_encoder_session(variant.folder, variant.manifest, threads=1, device=None)
    assert type(session) is EncoderSession
    assert "random_fp32 runs on ONNX Runtime" in caplog.text


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(
    ("family", "served_by"), [("bert", NativeEncoderSession), ("deberta-v3", EncoderSession)]
)
def test_an_encoder_is_served_natively_where_it_has_weights(
    family: str, served_by: type, precision: Precision, tmp_path: Path
) -> None:
    if not is_there():
        pytest.skip("the native library is missing: run `make native`")
    variant = write_encoder(tmp_path / family, family, "classification", precision)
    session = open_encoder_session(variant.folder, variant.manifest, threads=1, device=None)
    assert type(session) is served_by
