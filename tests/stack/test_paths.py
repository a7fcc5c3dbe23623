"""Paths that a shell would take apart: Triton's Python backend starts models by a shell's line."""

import os
import tempfile
from pathlib import Path

import pytest

from deploy.local.errors import StackError
from deploy.local.services.triton import triton_service
from deploy.local.settings import StackSettings, on_free_ports
from deploy.local.stack import Stack
from deploy.local.triton.aliases import plain
from tests.stack.conftest import ECHO_MODEL

ODD = "ein schöner $(touch x) 'Ort'; 模型"


@pytest.mark.usefixtures("triton_installed")
@pytest.mark.parametrize("run", ["run", f"run {ODD}"])
def test_a_repository_of_any_name_is_served(
    tmp_path: Path, echo_repository: Path, monkeypatch: pytest.MonkeyPatch, run: str
) -> None:
    """Also where the run directory is named like this, as that of a checkout may be."""
    monkeypatch.setenv("LC_ALL", "C")
    repository = echo_repository.rename(tmp_path / ODD)
    settings = on_free_ports(
        StackSettings(model_repository=repository, backends={"echo": ECHO_MODEL}), tmp_path / run
    )
    stack = Stack(settings.run_directory, [triton_service(settings)])
    try:
        stack.up()
        (status,) = stack.status()
        assert status.ready, status.checks
    finally:
        stack.down()
    assert not (tmp_path / "x").exists()


def test_a_plain_path_stays(tmp_path: Path) -> None:
    assert plain(tmp_path / "a-b_c.d", tmp_path) == tmp_path / "a-b_c.d"
    assert [*tmp_path.iterdir()] == []


def test_a_link_follows_its_target(tmp_path: Path) -> None:
    first = plain(tmp_path / "a b", tmp_path / "run")
    assert first.parent == tmp_path / "run" / "aliases"
    assert first.readlink() == tmp_path / "a b"
    assert plain(tmp_path / "a b", tmp_path / "run") == first
    assert plain(tmp_path / "a c", tmp_path / "run") != first


def test_a_place_that_others_write_to_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folder = tmp_path / f"seqway-aliases-{os.getuid()}"
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(StackError, match="not this user's alone"):
        plain(tmp_path / "a b", tmp_path / "run x")


def test_no_plain_place_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "t m p"))
    with pytest.raises(StackError, match="without spaces, or set TMPDIR"):
        plain(tmp_path / "a b", tmp_path / "run x")
