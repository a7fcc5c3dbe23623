"""A store that takes nothing more."""

import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.stack import BrokenStack


@pytest.mark.root
@pytest.mark.parametrize("options", ["ro", "size=8k"])
def test_it_is_read_only_or_full(broken: BrokenStack, options: str) -> None:
    """No line fails for it, and nothing is half there when it has room again."""
    children = broken.children("worker")
    broken.kill(*children, with_signal=signal.SIGSTOP)
    job = broken.submit(400)
    folder = broken.store / "jobs" / job.id / "run-0001"
    with _mounted(folder, options):
        broken.kill(*children, with_signal=signal.SIGCONT)
        time.sleep(6)
        assert broken.client.jobs.get(job.id).counts.succeeded == 0
    broken.check(job)
    leftovers = [path for path in broken.store.rglob("*#*") if path.is_file()]
    assert leftovers == []


@contextmanager
def _mounted(folder: Path, options: str) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)
