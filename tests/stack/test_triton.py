"""The real Triton with a backend that only echoes."""

import os
import signal
from pathlib import Path

import pytest

from deploy.local.errors import StackError
from deploy.local.running import running_triton
from deploy.local.settings import StackSettings, on_free_ports
from deploy.local.stack import Stack
from deploy.local.triton import triton_service
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
        assert problem.startswith("model unary_fp32 is not loaded: Invalid argument: unable")
    finally:
        stack.down()


def test_it_serves_for_a_block(echo_repository: Path) -> None:
    with running_triton(echo_repository, {"echo": ECHO_MODEL}) as triton:
        directory = triton.run_directory
        assert (directory / "triton.log").exists()
    assert not directory.exists()
