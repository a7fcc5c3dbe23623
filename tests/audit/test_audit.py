"""The real pip-audit and the real npm over this repository's own lock files."""

import datetime
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.audit.findings import Accepted, Finding, read_accepted
from tests.audit.knowledge import Knowledge, serving

_ROOT = Path(__file__).resolve().parents[2]
_NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def node() -> None:
    if shutil.which("npm") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("npm is missing: install Node")
        pytest.skip("npm is missing: install Node")


@pytest.fixture
def knowledge() -> Iterator[Knowledge]:
    with serving(Knowledge()) as known:
        yield known


def audit(url: str, *arguments: str) -> tuple[int, str]:
    """The exit code and what is printed."""
    ended = subprocess.run(
        [sys.executable, "-m", "deploy.audit", "--osv-url", f"{url}/v1/query", *arguments],
        env={**os.environ, "npm_config_registry": url, "npm_config_fetch_retries": "0"},
        cwd=_ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "Traceback" not in ended.stderr
    return ended.returncode, ended.stdout


def test_all_that_is_pinned_is_asked_about(knowledge: Knowledge) -> None:
    code, said = audit(knowledge.url, "torch==2.13.0")
    assert (code, said.count(": 0 known vulnerabilities")) == (0, 5), said
    pinned = {
        line.split()[0]
        for file in (
            "constraints.txt",
            "deploy/local/triton-requirements.txt",
            "deploy/local/torch-requirements.txt",
        )
        for line in (_ROOT / file).read_text().splitlines()
        if "==" in line and not line.lstrip().startswith("#")
    }
    assert pinned | {"torch==2.13.0"} <= knowledge.asked
    lock = json.loads((_ROOT / "sdk/typescript/package-lock.json").read_text())
    for path, package in lock["packages"].items():
        name = path.rpartition("node_modules/")[2]
        assert not name or f"{name}@{package['version']}" in knowledge.asked


def test_what_is_found_fails_and_is_named(knowledge: Knowledge) -> None:
    knowledge.python["celery"] = "PYSEC-1"
    knowledge.node["@grpc/grpc-js"] = "GHSA-1"
    code, said = audit(knowledge.url, "--allow-unchecked")
    assert code == 1
    assert "PYSEC-1 (fixed in 999)" in said
    assert "@grpc/grpc-js <999.0.0: GHSA-1 (a fault)" in said


def test_a_service_that_is_away_is_told_and_fails_unless_that_is_allowed() -> None:
    code, said = audit(_NOWHERE, "torch==2.13.0")
    assert (code, said.count("NOT CHECKED")) == (2, 5), said
    code, said = audit(_NOWHERE, "torch==2.13.0", "--allow-unchecked")
    assert (code, said.count("NOT CHECKED")) == (0, 5), said


def test_what_is_accepted_has_a_reason_and_an_end(tmp_path: Path) -> None:
    file = tmp_path / "accepted.toml"
    file.write_text('[[accepted]]\nid = "CVE-1"\nreason = "unused"\nuntil = 2026-12-31\n')
    (accepted,) = read_accepted(file)
    assert accepted == Accepted("CVE-1", "unused", datetime.date(2026, 12, 31))
    finding = Finding("one 1.0", ("PYSEC-1", "CVE-1"), "fixed in 2.0")
    assert accepted.covers(finding, datetime.date(2026, 12, 31))
    assert not accepted.covers(finding, datetime.date(2027, 1, 1))
    assert not accepted.covers(Finding("one 1.0", ("CVE-2",), ""), datetime.date(2026, 1, 1))
    file.write_text('[[accepted]]\nid = "CVE-1"\n')
    with pytest.raises(TypeError, match="reason"):
        read_accepted(file)
