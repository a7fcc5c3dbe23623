import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from engine.contract.manifest import read_manifest
from engine.export.precision.recipes import PRECISIONS, Precision
from engine.native.library import NativeMissingError, is_there
from engine.runtime.batching.scheduler import Limits
from engine.runtime.encoders.native_session import NativeEncoderSession
from engine.runtime.encoders.session import EncoderRunner, EncoderSession
from engine.runtime.encoders.torch_session import TorchEncoderSession
from engine.runtime.sessions import placement
from engine.runtime.sessions.native_session import NativeSession
from engine.runtime.sessions.onnx_session import OnnxSession
from engine.runtime.sessions.placement import (
    lanes_of,
    limits_of,
    open_encoder_session,
    open_session,
    usable_cores,
)
from engine.runtime.sessions.session import DeviceLostError, Session
from engine.runtime.sessions.torch.device import TorchDevice
from engine.runtime.sessions.torch.errors import TorchMemoryError, TorchMissingError
from engine.runtime.sessions.torch.session import TorchSession
from tests.engine.native.encoders import EncoderVariant, write_encoder


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


GPU = 0


def _open(repository: Path, device: int | None) -> Session:
    files = repository / "pegasus_fp32" / "1"
    return open_session(files, read_manifest(files), threads=1, capacity=4, device=device)


def _assert_on_processor(
    session: Session | EncoderRunner, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert lanes_of(session) == usable_cores()
    (said,) = [one.getMessage() for one in caplog.records if "GPU 0" in one.getMessage()]
    assert said.startswith(f"{name} runs on the processor, not on GPU 0: ")
    assert "is built without CUDA: install a build that has it." in said


def test_without_a_gpu_that_works_the_processor_serves_and_it_is_said_why(
    repository: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.version, "cuda", None)
    session = _open(repository, GPU)
    assert isinstance(session, NativeSession | OnnxSession)
    _assert_on_processor(session, "pegasus_fp32", caplog)


def test_a_driver_that_does_not_do_is_told_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def init() -> None:
        raise RuntimeError("Found no NVIDIA driver on your system. Please check that you have one")

    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "init", init)
    with pytest.raises(TorchMissingError, match=r"can't use a GPU: Found no NVIDIA driver on your"):
        TorchDevice(GPU)
    monkeypatch.setattr(torch.cuda, "init", lambda: None)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(TorchMissingError, match="GPU 0 does not exist: PyTorch sees 0"):
        TorchDevice(GPU)


def test_memory_that_does_not_suffice_is_told_before_it_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    device = TorchDevice(None)
    device.require(1 << 60, "all")  # a processor's is not asked about
    device.is_cuda, device.device = True, torch.device("cuda", 0)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (3 << 30, 4 << 30))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _: 0)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda _: 0)
    device.require(1 << 30, "a variant")
    with pytest.raises(TorchMemoryError, match=r"a variant needs 3\.5 GiB and GPU 0 has 3\.0 GiB"):
        device.require(3 << 30, "a variant")


def test_pytorch_runs_where_tensorrt_does_not(
    repository: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level("INFO")
    made = object()
    monkeypatch.setattr(placement, "open_torch_session", lambda *_: made)
    assert _open(repository, GPU) is made
    assert "pegasus_fp32 runs with PyTorch on GPU 0: " in caplog.text


def test_a_gpu_that_is_lost_before_it_serves_leaves_the_processor(
    repository: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose(*_: object) -> Session:
        raise DeviceLostError("this process has lost GPU 0: an error.")

    monkeypatch.setattr(placement, "open_torch_session", lose)
    assert isinstance(_open(repository, GPU), NativeSession | OnnxSession)
    assert "on the processor, not on GPU 0: " in caplog.text
    assert "this process has lost GPU 0: an error." in caplog.text


def test_a_driver_that_is_too_old_is_told_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def init() -> None:
        raise RuntimeError(
            "The NVIDIA driver on your system is too old (found version 12080). Please update "
            "your GPU driver by downloading and installing a new version"
        )

    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "init", init)
    with pytest.raises(TorchMissingError, match=r"is too old \(found version 12080\)\.$"):
        TorchDevice(GPU)


def test_only_the_torch_session_needs_torch() -> None:
    """Triton's Python has none on processors."""
    code = "import sys, engine.runtime.engine; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_variant_without_weights_says_so(repository: Path, tmp_path: Path) -> None:
    files = repository / "pegasus_fp32" / "1"
    with pytest.raises(TorchMissingError, match="has no weights for PyTorch"):
        placement.open_torch_session(tmp_path, read_manifest(files), 4, None)


def test_on_a_gpu_limits_follow_the_slots(repository: Path) -> None:
    """They have memory for the longest rows, so those may fill them; and rows start faster."""
    files = repository / "pegasus_fp32" / "1"
    manifest = read_manifest(files)
    session = placement.open_torch_session(files, manifest, 4, None)
    longest = manifest.max_source_tokens + manifest.max_target_tokens
    suited = limits_of(session, Limits(max_rows=1024))
    assert suited == Limits(max_rows=1024, token_budget=1024 * longest, encoder_tokens=16_384)
    asked = Limits(max_rows=64, token_budget=5000)
    assert limits_of(session, asked) == asked


def test_on_a_processor_limits_stay_as_they_are(repository: Path) -> None:
    session = _open(repository, None)
    assert limits_of(session, Limits(max_rows=1024)) == Limits(max_rows=1024)


def test_on_a_processor_one_row_of_the_longest_source_has_room(repository: Path) -> None:
    session = _open(repository, None)
    longest = {"max_source_tokens": 16_384, "max_target_tokens": 1024}
    session.manifest = replace(session.manifest, **longest)
    assert limits_of(session, Limits()) == Limits(token_budget=17_408)
    asked = Limits(token_budget=5000)
    assert limits_of(session, asked) == asked


def test_a_variable_has_pytorch_run_on_the_processor(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(placement.SESSION_VARIABLE, "torch")
    session = _open(repository, None)
    assert type(session) is TorchSession
    assert lanes_of(session) == 1
    monkeypatch.setenv(placement.SESSION_VARIABLE, "jax")
    with pytest.raises(ValueError, match="SEQWAY_SESSION is 'jax', and can only be"):
        _open(repository, None)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> EncoderVariant:
    return write_encoder(tmp_path_factory.mktemp("bert") / "fp32", "bert", "spans", "fp32")


def _open_encoder(variant: EncoderVariant, device: int | None) -> EncoderRunner:
    return open_encoder_session(variant.folder, variant.manifest, threads=1, device=device)


def test_an_encoder_without_plans_runs_with_pytorch(
    encoder: EncoderVariant, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level("INFO")
    made = object()
    monkeypatch.setattr(placement, "Cuda", lambda _: SimpleNamespace(compute_capability="9.0"))
    monkeypatch.setattr(placement, "open_torch_encoder", lambda *_: made)
    assert _open_encoder(encoder, GPU) is made
    assert "random_fp32 runs with PyTorch on GPU 0: " in caplog.text
    assert "has TensorRT plans for none" in caplog.text


def test_an_encoder_without_a_gpu_that_works_runs_on_the_processor(
    encoder: EncoderVariant, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.version, "cuda", None)
    session = _open_encoder(encoder, GPU)
    assert isinstance(session, NativeEncoderSession | EncoderSession)
    _assert_on_processor(session, "random_fp32", caplog)


def test_an_encoder_that_pytorch_does_not_have_runs_on_the_processor(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    variant = write_encoder(tmp_path / "esm2", "esm2", "classification", "fp32")
    assert type(_open_encoder(variant, GPU)) is EncoderSession
    assert "has no weights for PyTorch: export the variant again." in caplog.text


def test_a_variable_has_pytorch_run_encoders_too(
    encoder: EncoderVariant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(placement.SESSION_VARIABLE, "torch")
    session = _open_encoder(encoder, None)
    assert type(session) is TorchEncoderSession
    assert lanes_of(session) == 1


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
