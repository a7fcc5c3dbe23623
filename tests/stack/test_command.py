"""`python -m deploy.local` with the exported models, through to a translation."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local.ports import HOST
from deploy.local.records import StackRecord
from deploy.local.settings import ROOT, StackSettings, on_free_ports
from tests.stack.test_stack import wait_until_gone


@pytest.fixture
def environment(models_exported: None, tmp_path: Path) -> dict[str, str]:
    return environment_of(tmp_path)


def environment_of(folder: Path) -> dict[str, str]:
    """The settings of a stack that disturbs no other one."""
    settings = on_free_ports(StackSettings(), folder / "run")
    ports = settings.ports
    return {
        **os.environ,
        "SEQWAY_RUN_DIRECTORY": str(settings.run_directory),
        "SEQWAY_ADDRESS": f"{HOST}:{ports.gateway.number}",
        "COLUMNS": "160",
        **{
            port.variable: str(port.number)
            for port in (
                ports.gateway,
                ports.gateway_metrics,
                ports.triton_http,
                ports.triton_grpc,
                ports.triton_metrics,
                ports.redis,
                ports.worker_metrics,
                ports.controller_metrics,
            )
        },
    }


def run(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=400,
    )


def test_up_translate_status_down(environment: dict[str, str]) -> None:
    assert run(environment, "deploy.local", "status").returncode == 1
    try:
        started = run(environment, "deploy.local", "up")
        assert started.returncode == 0, started.stderr
        again = run(environment, "deploy.local", "up")
        assert again.returncode == 0, again.stderr
        assert run(environment, "deploy.local", "status").returncode == 0
        elsewhere = {**environment, "SEQWAY_MODEL_REPOSITORY": "/nowhere"}
        assert run(elsewhere, "deploy.local", "status").returncode == 0
        answer = run(environment, "seqway", "translate", "A text editor.", "--stream")
        assert answer.returncode == 0, answer.stderr
        assert answer.stdout.strip()

        record = StackRecord.load(Path(environment["SEQWAY_RUN_DIRECTORY"]))
        assert record.supervisor
        for process in (record.supervisor, record.processes["triton"]):
            os.kill(process.pid, signal.SIGKILL)
            wait_until_gone(process.pid)
        status = run(environment, "deploy.local", "status")
        assert status.returncode == 1
        assert "dead: it was started" in status.stdout
        assert "dead: nobody starts" in status.stdout
    finally:
        stopped = run(environment, "deploy.local", "down")
    assert stopped.returncode == 0, stopped.stderr
    assert run(environment, "deploy.local", "down").stdout == "Nothing was running.\n"


@pytest.mark.parametrize("command", ["up", "status", "down"])
def test_a_damaged_record_is_a_sentence(
    environment: dict[str, str], tmp_path: Path, command: str
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "stack.json").write_text('{"processes": {"triton": {"pid": 1')
    told = run(environment, "deploy.local", command)
    assert (told.returncode, told.stderr.count("\n")) == (1, 1)
    assert "stack.json, which lists what runs, is damaged" in told.stderr


@pytest.mark.usefixtures("examples_exported")
def test_the_demonstration_shows_every_task_and_leaves_nothing(environment: dict[str, str]) -> None:
    shown = run(environment, "deploy.local", "demo")
    assert shown.returncode == 0, shown.stderr
    assert "stopped again" in shown.stdout
    assert '"timings"' in shown.stdout
    for verb in ("translate", "summarize", "classify", "jobs summarize", "jobs results"):
        assert f"$ seqway {verb} " in shown.stdout


def test_the_demonstration_names_a_task_without_a_model(
    environment: dict[str, str], tmp_path: Path
) -> None:
    environment["SEQWAY_MODEL_REPOSITORY"] = str(tmp_path / "empty")
    shown = run(environment, "deploy.local", "demo")
    assert shown.returncode == 1
    assert "no model for translation and summarization and classification" in shown.stderr
