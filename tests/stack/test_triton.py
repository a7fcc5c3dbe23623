"""The real Triton with a backend that only echoes."""

import dataclasses
import os
import signal
from pathlib import Path

import pytest

from deploy.local.assembly import running_triton
from deploy.local.errors import StackError
from deploy.local.services.triton import triton_service
from deploy.local.settings import StackSettings, on_free_ports
from deploy.local.stack import Stack
from deploy.local.triton import client
from tests.stack.conftest import ECHO_MODEL
from tests.stack.test_stack import wait_until_gone

pytestmark = pytest.mark.usefixtures("triton_installed")


def echo_stack(tmp_path: Path, repository: Path) -> Stack:
    settings = on_free_ports(
        StackSettings(model_repository=repository, backends={"echo": ECHO_MODEL}),
        tmp_path / "run",
    )
    return Stack(settings.run_directory, [triton_service(settings)])


def children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(one) for one in listed.read_text().split()]


def test_triton_serves_and_a_dead_model_or_server_is_told(
    tmp_path: Path, echo_repository: Path
) -> None:
    others = set(Path("/dev/shm").glob("seqway_*"))  # of stacks that other tests keep
    stack = echo_stack(tmp_path, echo_repository)
    try:
        stack.up()
        (status,) = stack.status()
        assert [check.subject for check in status.checks] == ["server", "model echo_fp32"]
        assert status.ready
        assert status.pid

        (stub,) = children(status.pid)
        os.kill(stub, signal.SIGKILL)
        (status,) = stack.status()
        assert [check.ok for check in status.checks] == [True, False]
        assert not status.ready

        assert status.pid
        os.kill(status.pid, signal.SIGKILL)
        wait_until_gone(status.pid)
        (status,) = stack.status()
        assert status.died
    finally:
        stack.down()
    assert set(Path("/dev/shm").glob("seqway_*")) <= others


def test_a_killed_triton_leaves_no_process_of_a_model(
    tmp_path: Path, echo_repository: Path
) -> None:
    stack = echo_stack(tmp_path, echo_repository)
    try:
        stack.up()
        (status,) = stack.status()
        assert status.pid
        (stub,) = children(status.pid)
        os.kill(status.pid, signal.SIGKILL)
    finally:
        stack.down()
    wait_until_gone(stub)


def test_a_model_that_cannot_be_loaded_is_named(tmp_path: Path, echo_repository: Path) -> None:
    config = echo_repository / "echo_fp32" / "config.pbtxt"
    config.write_text(config.read_text().replace('backend: "echo"', 'backend: "none"'))
    with pytest.raises(StackError, match="echo_fp32"):
        echo_stack(tmp_path, echo_repository).up()


def test_no_model_and_no_triton_are_one_sentence_each(
    tmp_path: Path, echo_repository: Path
) -> None:
    with pytest.raises(StackError, match="holds no model: run `make models`"):
        echo_stack(tmp_path, tmp_path / "empty").up()
    settings = StackSettings(
        run_directory=tmp_path / "run",
        model_repository=echo_repository,
        triton_environment=tmp_path / "none",
    )
    settings = on_free_ports(settings, tmp_path / "run")
    with pytest.raises(StackError, match="run `make setup`"):
        Stack(tmp_path / "run", [triton_service(settings)]).up()


def test_a_running_triton_loads_what_is_new(tmp_path: Path, echo_repository: Path) -> None:
    stack = echo_stack(tmp_path, echo_repository)
    try:
        stack.up()
        before = stack.status()[0].pid
        added = echo_repository / "unary_fp32"
        (added / "1").mkdir(parents=True)
        (added / "config.pbtxt").write_text((ECHO_MODEL / "unary.pbtxt").read_text())
        (status,) = stack.status()
        assert [check.ok for check in status.checks] == [True, True, False]
        stack.up()
        (status,) = stack.status()
        assert status.pid == before
        assert [check.subject for check in status.checks[1:]] == [
            "model echo_fp32",
            "model unary_fp32",
        ]
        assert status.ready
        (added / "config.pbtxt").write_text('name: "unary_fp32" backend: "none"')
        (problem,) = stack.up()
        assert problem.startswith("model unary_fp32 can't be loaded: Invalid argument: unable")
        assert stack.status()[0].pid == before
    finally:
        stack.down()


def test_a_model_that_cannot_be_loaded_takes_no_other_down(
    tmp_path: Path, echo_repository: Path
) -> None:
    """No backend, a configuration that was cut, no version, and what is only on its way in."""
    whole = (ECHO_MODEL / "config.pbtxt").read_text()
    broken = {
        "backend": whole.replace('backend: "echo"', 'backend: "none"'),
        "cut": whole[: len(whole) // 2],
        "empty": whole,
        ".import-new_fp32": whole,
    }
    for name, config in broken.items():
        (echo_repository / name).mkdir()
        text = config.replace('name: "echo_fp32"', f'name: "{name}"')
        (echo_repository / name / "config.pbtxt").write_text(text)
    (echo_repository / "backend" / "1").mkdir()
    (echo_repository / "cut" / "1").mkdir()
    stack = echo_stack(tmp_path, echo_repository)
    try:
        problems = stack.up()
        assert [one.partition(" is not loaded: ")[0] for one in problems] == [
            "model backend",
            "model cut",
            "model empty",
        ]
        assert "unable to find backend" in problems[0]
        assert "config.pbtxt" in problems[1] and "no version" in problems[2]
        (status,) = stack.status()
        states = {check.subject: check.ok for check in status.checks}
        assert states == {
            "server": True,
            "model backend": False,
            "model cut": False,
            "model echo_fp32": True,
            "model empty": False,
        }
        assert not status.ready
    finally:
        stack.down()


def test_up_loads_a_dead_model_again(tmp_path: Path, echo_repository: Path) -> None:
    stack = echo_stack(tmp_path, echo_repository)
    try:
        stack.up()
        (before,) = stack.status()
        assert before.pid
        (stub,) = children(before.pid)
        os.kill(stub, signal.SIGKILL)
        assert stack.up() == []
        (after,) = stack.status()
        assert (after.pid, after.ready) == (before.pid, True)
    finally:
        stack.down()


def test_up_starts_a_triton_that_hangs_anew(
    tmp_path: Path, echo_repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "SECONDS", 0.5)
    stack = echo_stack(tmp_path, echo_repository)
    stack.services = tuple(dataclasses.replace(one, stop_seconds=0.5) for one in stack.services)
    try:
        stack.up()
        before = stack.status()[0].pid
        assert before
        os.kill(before, signal.SIGSTOP)
        stack.up()
        assert stack.status()[0].pid not in (None, before)
    finally:
        stack.down()


def test_it_serves_for_a_block(echo_repository: Path) -> None:
    with running_triton(echo_repository, {"echo": ECHO_MODEL}) as triton:
        directory = triton.run_directory
        assert (directory / "triton.log").exists()
    assert not directory.exists()
