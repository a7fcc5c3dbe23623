"""`seqway-models serve`: from a checkpoint's folder to an answer, in one command."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from deploy.local.assembly import full_stack
from deploy.local.ports import HOST
from deploy.local.settings import StackSettings, on_free_ports
from tests.engine.conftest import write_marian
from tests.engine.model import encoder_checkpoints
from tests.stack.conftest import triton_installed  # noqa: F401 - a fixture

pytestmark = pytest.mark.usefixtures("triton_installed")


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[StackSettings]:
    """A stack that disturbs no other one; it is stopped at the end."""
    chosen = on_free_ports(
        StackSettings(model_repository=tmp_path / "repository"), tmp_path / "run"
    )
    yield chosen
    full_stack(chosen).down()


def serve(
    settings: StackSettings, checkpoint: Path, *options: str
) -> subprocess.CompletedProcess[str]:
    ports = (getattr(settings.ports, field.name) for field in fields(settings.ports))
    return subprocess.run(
        [
            *(Path(sys.executable).with_name("seqway-models"), "serve", checkpoint),
            *("--model-repository", settings.model_repository, "--precision", "fp32", *options),
        ],
        env={
            **os.environ,
            **{port.variable: str(port.number) for port in ports},
            "SEQWAY_RUN_DIRECTORY": str(settings.run_directory),
            "COLUMNS": "160",
        },
        capture_output=True,
        text=True,
        timeout=240,
    )


def test_a_checkpoint_is_served_and_another_joins_it(
    settings: StackSettings, tmp_path: Path
) -> None:
    write_marian(tmp_path / "small")
    first = serve(settings, tmp_path / "small")
    assert first.returncode == 0, first.stderr
    assert "wrote" in first.stdout
    line, _, answer = first.stdout.partition("Try: seqway translate")[2].partition("\n")
    assert "--from en --to fr --model small --stream" in line
    assert f"--address {HOST}:{settings.ports.gateway.number}" in line
    assert answer.split("The stack goes on running")[0].strip()

    encoder_checkpoints.FAMILIES["bert"](tmp_path / "labels", "classification", 1)
    second = serve(settings, tmp_path / "labels")
    assert second.returncode == 0, second.stderr
    assert any(label in second.stdout for label in encoder_checkpoints.LABELS)
    states = [check for status in full_stack(settings).status() for check in status.checks]
    assert {check.subject for check in states} >= {
        "model small_fp32",
        "model labels_fp32",
        "TranslationService",
        "ClassificationService",
    }
    assert all(check.ok for check in states)

    again = serve(settings, tmp_path / "small")
    assert again.returncode == 0, again.stderr
    assert "wrote" not in again.stdout


def test_nothing_is_started_for_a_checkpoint_that_is_refused(
    settings: StackSettings, tmp_path: Path
) -> None:
    refused = serve(settings, tmp_path / "nothing")
    assert refused.returncode == 1
    assert "error:" in refused.stderr
    assert not settings.run_directory.exists()
    assert not settings.model_repository.exists()


def test_a_variant_with_plans_is_served_without_a_gpu(
    settings: StackSettings, tmp_path: Path
) -> None:
    """Triton takes KIND_AUTO for the processor, and the backend the ONNX graphs."""
    write_marian(tmp_path / "small")
    plans = ("--precision", "fp16", "--tensorrt", "--compute-capability", "89")
    served = serve(settings, tmp_path / "small", *plans)
    assert served.returncode == 0, served.stderr
    assert (settings.model_repository / "small_fp16/1/plans/sm_89/plan.json").is_file()
    config = (settings.model_repository / "small_fp16/config.pbtxt").read_text(encoding="utf-8")
    assert "kind: KIND_AUTO" in config
    answer = served.stdout.partition("Try: seqway translate")[2].partition("\n")[2]
    assert answer.strip().splitlines()[0]
