"""The supervisor over services that start in a moment, each look of it made by hand."""

import dataclasses
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploy.local import processes
from deploy.local.errors import StackError
from deploy.local.ports import HOST
from deploy.local.records import Repairs, StackRecord
from deploy.local.services.service import Check, Launch, Service
from deploy.local.settings import ROOT
from deploy.local.stack import Stack
from deploy.local.supervision import restarts
from deploy.local.supervision.report import status_table
from deploy.local.supervision.supervisor import Supervisor
from tests.stack.test_stack import is_running, wait_until_gone
from tests.stack.web import web_service


@pytest.fixture(autouse=True)
def probing_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restarts, "_CHECK_SECONDS", 0.02)


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    names = ("first", "second")
    made = Stack(tmp_path / "run", [web_service(tmp_path, name) for name in names])
    made.up()
    yield made
    made.down()


def look_until(supervisor: Supervisor, probe: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not probe():
        assert time.monotonic() < deadline
        supervisor.look()
        time.sleep(0.02)


def pid(stack: Stack, index: int = 0) -> int:
    found = stack.status()[index].pid
    assert found
    return found


def kill(process: int) -> None:
    os.kill(process, signal.SIGKILL)
    wait_until_gone(process)


def test_what_ended_is_started_again_and_told(stack: Stack) -> None:
    said: list[str] = []
    supervisor = Supervisor(stack, said.append)
    first, second = pid(stack), pid(stack, 1)
    supervisor.look()
    kill(first)
    look_until(supervisor, lambda: stack.status()[0].ready)
    assert pid(stack) != first
    assert pid(stack, 1) == second
    repairs = stack.status()[0].repairs
    assert (repairs.count, repairs.due) == (1, 0.0)
    assert repairs.reason.startswith("it ended")
    assert repairs.last
    assert stack.status()[1].repairs == Repairs()
    assert any("first: it ended" in one for one in said)
    assert (stack.run_directory / "first.previous.log").exists()


def test_another_command_sees_and_stops_what_it_started(stack: Stack) -> None:
    supervisor = Supervisor(stack, lambda _: None)
    kill(pid(stack))
    look_until(supervisor, lambda: stack.status()[0].ready)
    again = pid(stack)
    later = Stack(stack.run_directory, stack.services)
    assert later.down() == ["second", "first"]
    assert not is_running(again)


def test_what_fails_again_and_again_is_started_less_often(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A port that somebody else has taken is such a failure; it says so, and gives up never."""
    clock = [1000.0]
    monkeypatch.setattr(time, "time", lambda: clock[0])
    supervisor = Supervisor(stack, lambda _: None)
    kill(pid(stack))
    delays = []
    with socket.create_server((HOST, stack.services[0].ports[0].number)):
        for _ in range(9):
            supervisor.look()
            repairs = StackRecord.load(stack.run_directory).repairs["first"]
            delays.append(repairs.due - clock[0])
            clock[0] = repairs.due
        assert delays == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0, 30.0]
        assert "in use by another program" in repairs.reason
        (row, *_) = [status for status in stack.status() if status.service.name == "first"]
        assert row.pid is None
    look_until(supervisor, lambda: stack.status()[0].ready)


def service_of(web: Service, found: list[Check], mended: list[str]) -> Service:
    """The web server, with the checks of `found`, which are mended by taking them out."""

    def mend(subject: str) -> None:
        mended.append(subject)
        if subject == "server":
            raise StackError("it hangs")
        found[:] = [one for one in found if one.subject != subject]

    check = lambda: [*web.check(), *found]  # noqa: E731
    return dataclasses.replace(web, check=check, mend=mend, silent_seconds=0.3)


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[tuple[Stack, list[Check], list[str]]]:
    """A stack of one service, its faulty parts, and what was mended of it."""
    found: list[Check] = []
    mended: list[str] = []
    made = Stack(tmp_path / "run", [service_of(web_service(tmp_path), found, mended)])
    made.up()
    yield made, found, mended
    made.down()


Parts = tuple[Stack, list[Check], list[str]]


def test_a_dead_part_is_mended_and_the_rest_left_alone(parts: Parts) -> None:
    stack, found, mended = parts
    before = pid(stack)
    supervisor = Supervisor(stack, lambda _: None)
    found.append(Check("model a", ok=False, detail="is dead", is_dead=True))
    look_until(supervisor, lambda: stack.status()[0].repairs.count == 1)
    assert mended == ["model a"]
    assert pid(stack) == before
    assert stack.status()[0].repairs.reason == "model a is dead"


def test_a_part_that_cannot_be_loaded_is_nobodys_fault(parts: Parts) -> None:
    stack, found, mended = parts
    found.append(Check("model a", ok=False, detail="is broken", is_hopeless=True))
    supervisor = Supervisor(stack, lambda _: None)
    end = time.monotonic() + 0.6
    look_until(supervisor, lambda: time.monotonic() > end)
    assert not mended
    assert stack.status()[0].repairs.count == 0


@pytest.mark.parametrize("probe_seconds", [0.0, 0.5])
def test_silence_counts_only_when_it_lasts_and_nothing_is_done(
    parts: Parts, probe_seconds: float
) -> None:
    """Silence lasts from probe to probe: one that takes long is none."""
    stack, _, mended = parts
    works = threading.Event()
    works.set()
    done = iter(range(10**6))

    class Working(list[Check]):
        def __iter__(self) -> Iterator[Check]:
            work = float(next(done)) if works.is_set() else -1.0
            time.sleep(probe_seconds)
            yield Check("model a", ok=False, detail="is late", is_silent=True, work=work)

    service = dataclasses.replace(
        stack.services[0],
        check=lambda: list(Working()),
        mend=lambda subject: mended.append(subject),
    )
    busy = Stack(stack.run_directory, [service])
    supervisor = Supervisor(busy, lambda _: None)
    end = time.monotonic() + 0.8
    look_until(supervisor, lambda: time.monotonic() > end)
    assert not mended, "it works"
    works.clear()
    look_until(supervisor, lambda: bool(mended))
    assert mended[0] == "model a"


def test_a_service_that_hangs_is_started_anew(parts: Parts) -> None:
    stack, found, _ = parts
    before = pid(stack)
    supervisor = Supervisor(stack, lambda _: None)
    os.kill(before, signal.SIGSTOP)
    found.append(Check("server", ok=False, detail="does not answer", is_silent=True))
    look_until(supervisor, lambda: not is_running(before))
    found.clear()
    look_until(supervisor, lambda: stack.status()[0].ready)
    assert stack.status()[0].repairs.reason == "server does not answer"


def test_one_that_starts_slowly_is_left_to_it(parts: Parts) -> None:
    """It was never ready in this life: loading models may take its time."""
    stack, found, mended = parts
    supervisor = Supervisor(stack, lambda _: None)
    found.append(Check("server", ok=False, detail="does not answer", is_silent=True))
    kill(pid(stack))
    look_until(supervisor, lambda: stack.status()[0].pid is not None)
    end = time.monotonic() + 0.8
    look_until(supervisor, lambda: time.monotonic() > end)
    assert not mended


def supervised(stack: Stack, code: str) -> Stack:
    """The same with a supervisor that is any program."""
    launch = Launch(("python3", "-c", code), dict(os.environ), ROOT)
    return Stack(stack.run_directory, stack.services, launch)


def test_every_command_stops_the_supervisor_before_it_changes_anything(stack: Stack) -> None:
    watched = supervised(stack, "import time; time.sleep(600)")
    watched.up()
    one = watched.supervision()
    assert one.pid and one.is_wanted
    watched.up()
    other = watched.supervision()
    assert other.pid and other.pid != one.pid
    assert not is_running(one.pid)
    assert watched.down() == ["second", "first"]
    assert not is_running(other.pid)
    assert not watched.supervision().is_wanted
    assert not (stack.run_directory / "stack.json").exists()


def test_a_command_that_is_refused_leaves_the_supervisor_there(stack: Stack) -> None:
    watched = supervised(stack, "import time; time.sleep(600)")
    watched.up()
    never = dataclasses.replace(stack.services[1], name="third", ready_seconds=0.2)
    never = dataclasses.replace(never, check=lambda: [Check("server", ok=False)])
    more = supervised(stack, "import time; time.sleep(600)")
    more.services = (*stack.services, dataclasses.replace(never, ports=()))
    with pytest.raises(StackError):
        more.up()
    pid = watched.supervision().pid
    assert pid and is_running(pid)


def test_down_ends_all_when_half_of_it_is_dead(stack: Stack) -> None:
    watched = supervised(stack, "import time; time.sleep(600)")
    watched.up()
    supervisor = watched.supervision().pid
    assert supervisor
    second = pid(stack, 1)
    kill(pid(stack))
    kill(supervisor)
    assert not watched.supervision().pid and watched.supervision().is_wanted
    assert watched.down() == ["second"]
    assert not is_running(second)
    assert processes.members_of(stack.run_directory) == {}


def test_the_table_tells_all_of_it(stack: Stack) -> None:
    supervisor = Supervisor(stack, lambda _: None)
    kill(pid(stack))
    look_until(supervisor, lambda: stack.status()[0].ready)
    (first, second) = stack.status()
    waiting = Repairs(3, "2026-01-01T00:00:00", "Port 1 [is] taken", time.time() + 8)
    rows = status_table(
        [first, dataclasses.replace(second, pid=None, died=True, repairs=waiting)],
        dataclasses.replace(stack.supervision(), is_wanted=True),
    )
    told = " ".join(str(cell) for column in rows.columns for cell in column.cells)
    assert "mended once, last at" in told
    assert "down" in told and "taken); it starts in" in told
    assert "dead: services that end are not restarted" in told
