"""A variant of two groups in the real Triton, of which one is killed at work: nobody notices."""

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import psutil
import pytest

from deploy.local.assembly import running_stack
from deploy.local.ports import HOST
from deploy.local.settings import StackSettings
from deploy.local.triton.client import get
from engine.contract.manifest import read_manifest
from engine.export.variant_folder import Serving, write_manifest
from engine.parallel.layout import Layout
from tests.faults.load import Load
from tests.faults.stack import wait_until
from tests.stack.conftest import models_exported, triton_installed  # noqa: F401

_MODEL = "en-fr_int8"
_RANK = "engine.parallel.groups.rank"
_ENOUGH = 12


@dataclass
class GroupedStack:
    """Triton and the gateway, and the processes of the variant's groups."""

    settings: StackSettings

    def ranks(self) -> list[psutil.Process]:
        """Those of this run directory's Triton."""
        return [
            process
            for process in psutil.process_iter(["cmdline"])
            if _RANK in (process.info["cmdline"] or ())
            and str(self.settings.run_directory) in " ".join(_ancestors(process))
        ]

    def count(self, metric: str) -> float:
        content = get(self.settings.ports.triton_metrics.number, "/metrics")
        lines = (content or b"").decode().splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(f"{metric}{{"))


def _ancestors(process: psutil.Process) -> list[str]:
    return [word for one in process.parents() for word in one.cmdline()]


@pytest.fixture(scope="module")
def grouped(
    models_exported: None,  # noqa: F811
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[GroupedStack]:
    repository = tmp_path_factory.mktemp("grouped")
    variant = repository / _MODEL
    shutil.copytree(StackSettings().model_repository / _MODEL, variant)
    write_manifest(read_manifest(variant / "1"), Serving(parallel=Layout(data=2)), variant)
    with running_stack(StackSettings(model_repository=repository)) as own:
        yield GroupedStack(own)


def _has_gone_on(load: Load, since: float) -> bool:
    """Rows were given out since then: a call has come and ended, or all wait."""
    last = load.outcomes[-1]
    return last.began > since or time.monotonic() - last.ended > 1


def test_no_call_is_lost_or_doubled_when_a_group_is_killed(grouped: GroupedStack) -> None:
    load = Load(f"{HOST}:{grouped.settings.ports.gateway.number}")
    first = {process.pid for process in grouped.ranks()}
    assert len(first) == 2
    with load.running():
        wait_until(lambda: len(load.outcomes) >= _ENOUGH, "calls are answered")
        lost = grouped.ranks()[0]
        lost.suspend()
        wait_until(partial(_has_gone_on, load, time.monotonic()), "it has rows that it can't end")
        lost.kill()
        done = len(load.outcomes)
        wait_until(lambda: len(load.outcomes) >= done + _ENOUGH, "calls go on")
        wait_until(lambda: len(grouped.ranks()) == 2, "the group is back")
        wait_until(lambda: grouped.count("seqway_groups_live") == 2, "it takes rows")
    load.check()
    assert load.failures() == []
    assert grouped.count("seqway_group_restarts") == 1
    assert grouped.count("seqway_rows_rerun") >= 1
    assert len(first & {process.pid for process in grouped.ranks()}) == 1
