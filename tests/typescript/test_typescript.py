"""The client for Node: its own tests, over a server in process and over the real stack."""

import re
from pathlib import Path

import pytest

from tests.typescript.conftest import npm


@pytest.mark.usefixtures("node_packages")
def test_the_unit_tests_pass() -> None:
    npm("test")


def test_the_tests_over_the_real_stack_pass(gateway: str) -> None:
    npm("run", "test:gateway", environment={"SEQWAY_ADDRESS": gateway})


def test_the_generated_code_is_that_of_the_protos(node_packages: Path, tmp_path: Path) -> None:
    npm("run", "generate", "--", str(tmp_path / "generated"))
    fresh = _files(tmp_path / "generated")
    committed = _files(node_packages / "src" / "generated")
    assert fresh.keys() == committed.keys(), "run `make protos`"
    stale = sorted(str(name) for name in fresh if fresh[name] != committed[name])
    assert not stale, f"run `make protos`: {stale}"


def _files(folder: Path) -> dict[Path, str]:
    return {file.relative_to(folder): file.read_text() for file in sorted(folder.rglob("*.ts"))}


def test_the_lock_file_names_no_registry(node_packages: Path) -> None:
    """Whoever installs takes the packages from a registry of their own; the hashes must fit."""
    lock = (node_packages / "package-lock.json").read_text()
    assert '"resolved"' not in lock
    links = {*re.findall(r'"https?://([^/"]+)', lock)}
    assert all(not re.search(r"registry|proxy|:\d", host) for host in links), links
    assert lock.count('"integrity"') >= lock.count('"node_modules/')
