"""Groups that come up, do not come back, go down in order, and those of several ranks."""

import os
import queue
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from engine.contract.events import FinishReason, Ready
from engine.parallel.groups.engine import GroupStartError
from engine.runtime.sessions.session import DeviceLostError
from tests.engine.caller import SECONDS, ends_of
from tests.engine.parallel.groups.crew import BOUNDS, Crew, open_crew, wait_until
from tests.engine.parallel.groups.test_grouped_engine import texts


@pytest.fixture(scope="module")
def whole_team(served: Path, orders: Path) -> Iterator[Crew]:
    crew = open_crew(served, orders, "tp=2")
    yield crew
    crew.engine.stop()


@pytest.fixture
def team(whole_team: Crew) -> Iterator[Crew]:
    """One group of two ranks."""
    yield whole_team
    whole_team.withdraw_all()
    whole_team.wait_for_restarts(0)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_a_rank_takes_its_group_down_and_up(team: Crew, how: signal.Signals) -> None:
    team.order("slow")
    restarts = team.engine.restarts
    before = team.engine.groups[0].pids
    caller = team.send(texts(4), stream=False)
    wait_until(lambda: team.engine.gauges.running == 4)
    team.hurt(0, rank=1, with_signal=how)
    team.wait_for_restarts(restarts + 1)
    assert len(ends_of(caller.finish())) == 4
    assert not set(before) & set(team.engine.groups[0].pids)
    assert team.send([], "probe").finish() == [Ready()]


def test_without_a_group_that_comes_back_callers_are_told_why(served: Path, orders: Path) -> None:
    told: queue.SimpleQueue[DeviceLostError] = queue.SimpleQueue()
    crew = open_crew(served, orders, "dp=1,tp=2", replace(BOUNDS, comeback=0.5), on_lost=told.put)
    try:
        crew.order("slow")
        caller = crew.send(texts(12), stream=False)
        wait_until(lambda: crew.engine.gauges.running == 8)
        crew.order("refuse")
        crew.hurt(0)
        ends = ends_of(caller.finish())
        reason = str(told.get(timeout=SECONDS))
        assert "no group of served_fp32 has lived for 0.5 s" in reason
        assert {(end.finish_reason, end.message) for end in ends} == {
            (FinishReason.CANCELLED, reason)
        }
        assert sorted(end.lost for end in ends) == [False] * 4 + [True] * 8
    finally:
        crew.withdraw_all()
        crew.engine.stop()


def test_what_runs_is_ended_when_the_engine_stops(served: Path, orders: Path) -> None:
    crew = open_crew(served, orders, "dp=1,sp=2")
    crew.order("slow")
    pids = crew.engine.groups[0].pids
    caller = crew.send(texts(12), stream=True)
    caller.next()
    began = time.monotonic()
    crew.engine.stop()
    crew.withdraw_all()
    ends = ends_of(caller.finish())
    assert len(ends) == 12 and time.monotonic() - began < BOUNDS.stop
    assert {end.finish_reason for end in ends} == {FinishReason.CANCELLED}
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_a_variant_that_can_not_be_loaded_says_why(
    served: Path, orders: Path, tmp_path: Path
) -> None:
    damaged = tmp_path / "1"
    damaged.mkdir()
    for file in served.iterdir():
        (damaged / file.name).symlink_to(file)
    for name in ("weights.safetensors", "encoder.onnx", "decoder_step.onnx"):
        (damaged / name).unlink(missing_ok=True)
    before = _ranks()
    with pytest.raises(GroupStartError, match=r"a group of the variant can't be started: .+: "):
        open_crew(damaged, orders, "dp=2")
    assert _ranks() <= before


def _ranks() -> set[int]:
    """The processes of this one that are ranks."""
    found = set()
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                stat = (folder / "stat").read_text().rpartition(")")[2].split()
                line = (folder / "cmdline").read_text()
            except OSError:
                continue
            if int(stat[1]) == os.getpid() and "rank_twin" in line:
                found.add(int(folder.name))
    return found
