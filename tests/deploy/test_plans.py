"""`seqway-plans` finds what is lacking, builds that alone, and says what runs without plans."""

import hashlib
import json
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.images.commands.plan_state import Target, lacking, variants
from deploy.images.commands.plans import build, wait

TARGET = Target("89", "11.4.0.106")
_PATIENCE = 10.0


def add_variant(models: Path, name: str) -> Path:
    """A variant with a graph; returns the folder of its files."""
    files = models / name / "1"
    files.mkdir(parents=True)
    (models / name / "config.pbtxt").write_text(f'name: "{name}"')
    (files / "manifest.json").write_text("{}")
    (files / "encoder.onnx").write_bytes(name.encode())
    return files


def add_plan(files: Path, target: Target = TARGET, flavour: str = "tensorrt") -> Path:
    """Plans as `seqway-models build` leaves them."""
    folder = files / "plans" / f"sm_{target.compute_capability}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "encoder.plan").write_bytes(b"plan")
    described = {
        "flavour": flavour,
        "version": target.version,
        "files": {"encoder.plan": _digest(folder / "encoder.plan")},
        "graphs": {"encoder.onnx": _digest(files / "encoder.onnx")},
    }
    (folder / "plan.json").write_text(json.dumps(described))
    return folder


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_whole_plans_of_the_same_tensorrt_are_not_lacking(tmp_path: Path) -> None:
    add_plan(add_variant(tmp_path, "en-fr_fp16"))
    (tmp_path / "foreign" / "1").mkdir(parents=True)
    assert variants(tmp_path) == ["en-fr_fp16"]
    assert lacking(tmp_path, TARGET) == {}


def test_the_reason_is_told(tmp_path: Path) -> None:
    add_variant(tmp_path, "none")
    add_plan(add_variant(tmp_path, "other-gpu"), Target("80", TARGET.version))
    add_plan(add_variant(tmp_path, "old"), Target("89", "10.0.0.1"))
    add_plan(add_variant(tmp_path, "rtx"), flavour="tensorrt_rtx")
    (add_plan(add_variant(tmp_path, "damaged")) / "encoder.plan").write_bytes(b"pl")
    files = add_variant(tmp_path, "exported-again")
    add_plan(files)
    (files / "encoder.onnx").write_bytes(b"new")
    (add_plan(add_variant(tmp_path, "unreadable")) / "plan.json").write_text("{")
    assert lacking(tmp_path, TARGET) == {
        "none": "has no plans for sm_89",
        "other-gpu": "has no plans for sm_89",
        "old": "has plans of tensorrt 10.0.0.1, and tensorrt 11.4.0.106 runs here",
        "rtx": "has plans of tensorrt_rtx 11.4.0.106, and tensorrt 11.4.0.106 runs here",
        "damaged": "has plans that do not fit its encoder.plan",
        "exported-again": "has plans that do not fit its encoder.onnx",
        "unreadable": "has no plans for sm_89",
    }


def test_the_target_is_named_as_a_whole_or_not_at_all() -> None:
    both = {"COMPUTE_CAPABILITY": "89", "TENSORRT_VERSION": "11.4.0.106"}
    assert Target.from_environment(both) == TARGET
    assert Target.from_environment({}) is None
    with pytest.raises(ValueError, match="set together"):
        Target.from_environment({"COMPUTE_CAPABILITY": "89"})


@pytest.fixture
def builds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `seqway-models` that notes how it was called; returns where."""
    notes, programs = tmp_path / "notes", tmp_path / "bin"
    programs.mkdir()
    program = programs / "seqway-models"
    program.write_text(f'#!/bin/sh\necho "$@" >> {notes}\nexit ${{BUILD_CODE:-0}}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    return notes


def test_only_what_is_lacking_is_built(tmp_path: Path, builds: Path) -> None:
    models = tmp_path / "models"
    add_plan(add_variant(models, "there"))
    add_variant(models, "missing")
    # The pretended build leaves nothing, so the plan is lacking still.
    assert build(models, TARGET) == 1
    assert builds.read_text() == (
        f"build missing --model-repository {models} --compute-capability 89\n"
    )


def test_a_failed_build_is_told(
    tmp_path: Path, builds: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUILD_CODE", "3")
    models = tmp_path / "models"
    add_variant(models, "one")
    add_variant(models, "two")
    assert build(models, TARGET) == 3
    assert len(builds.read_text().splitlines()) == 2


def test_only_a_model_is_waited_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "seqway-plans")
    waiting = threading.Thread(target=wait, args=(tmp_path, TARGET, 0.01), daemon=True)
    waiting.start()
    _until(lambda: f"waiting for a model in {tmp_path}" in caplog.text)
    assert waiting.is_alive()
    add_variant(tmp_path, "en-fr_fp16")
    waiting.join(_PATIENCE)
    assert not waiting.is_alive()


def test_it_is_said_what_runs_with_what(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "seqway-plans")
    add_plan(add_variant(tmp_path, "planned"))
    add_variant(tmp_path, "refused")
    (add_plan(add_variant(tmp_path, "damaged")) / "encoder.plan").write_bytes(b"pl")
    wait(tmp_path, TARGET)
    assert [record.getMessage() for record in caplog.records] == [
        "damaged has plans that do not fit its encoder.plan: PyTorch runs it",
        "planned has plans: TensorRT runs it",
        "refused has no plans for sm_89: PyTorch runs it",
    ]


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
