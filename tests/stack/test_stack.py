"""The stack with services that start in a moment."""

import dataclasses
import json
import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local import processes
from deploy.local.errors import StackError
from deploy.local.ports import HOST
from deploy.local.records import StackRecord
from deploy.local.services.service import Check, Service
from deploy.local.stack import Stack
from tests.stack.web import VARIABLE, web_service

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    made = Stack(
        tmp_path / "run", [web_service(tmp_path, "first"), web_service(tmp_path, "second")]
    )
    yield made
    made.down()


def pids(stack: Stack) -> list[int | None]:
    return [status.pid for status in stack.status()]


def is_running(pid: int) -> bool:
    """Whether there is such a process, other than a zombie."""
    try:
        return not re.search(r"\) Z ", Path(f"/proc/{pid}/stat").read_text())
    except FileNotFoundError:
        return False


def wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + 10
    while is_running(pid):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_up_status_and_down_are_idempotent(stack: Stack) -> None:
    assert pids(stack) == [None, None]
    assert stack.down() == []
    stack.up()
    running = pids(stack)
    assert None not in running
    assert all(status.ready for status in stack.status())
    stack.up()
    assert pids(stack) == running
    assert stack.down() == ["second", "first"]
    assert not any(is_running(pid) for pid in running if pid)
    assert not any(status.died for status in stack.status())
    assert stack.down() == []


def test_another_command_finds_what_runs(stack: Stack) -> None:
    stack.up()
    later = Stack(stack.run_directory, stack.services)
    assert pids(later) == pids(stack)


def test_a_service_that_died_is_told_and_started_again(stack: Stack) -> None:
    stack.up()
    first, second = pids(stack)
    assert first and second
    os.kill(first, signal.SIGKILL)
    wait_until_gone(first)
    dead, alive = stack.status()
    assert dead.died and not dead.ready
    assert alive.ready
    stack.up()
    assert pids(stack)[0] not in (None, first)
    assert pids(stack)[1] == second


def test_a_port_in_use_names_port_and_variable(stack: Stack) -> None:
    port = stack.services[1].ports[0].number
    with socket.create_server((HOST, port)), pytest.raises(StackError) as raised:
        stack.up()
    assert re.search(rf"Port {port} .*in use.*{VARIABLE}", str(raised.value))
    assert pids(stack) == [None, None]  # the first one was stopped again


def test_another_port_needs_a_new_start(stack: Stack, tmp_path: Path) -> None:
    stack.up()
    moved = Stack(stack.run_directory, [web_service(tmp_path, "first"), stack.services[1]])
    with pytest.raises(StackError, match="runs already on port"):
        moved.up()
    assert all(status.ready for status in stack.status())


def test_what_runs_is_refreshed_and_what_starts_is_not(stack: Stack) -> None:
    refreshed: list[str] = []

    def refresh() -> list[str]:
        refreshed.append("first")
        return ["a model is missing"]

    first = dataclasses.replace(stack.services[0], refresh=refresh)
    again = Stack(stack.run_directory, [first, stack.services[1]])
    assert again.up() == []
    assert refreshed == []
    assert again.up() == ["a model is missing"]
    assert refreshed == ["first"]


def test_what_cannot_be_refreshed_is_started_anew(stack: Stack) -> None:
    def refresh() -> list[str]:
        raise StackError("it hangs")

    first = dataclasses.replace(stack.services[0], refresh=refresh)
    again = Stack(stack.run_directory, [first, stack.services[1]])
    again.up()
    before = pids(again)
    again.up()
    assert pids(again)[0] not in (None, before[0])
    assert pids(again)[1] == before[1]


def test_what_a_service_does_without_is_told_and_not_waited_for(tmp_path: Path) -> None:
    web = web_service(tmp_path)
    lost = Check("model b", ok=False, detail="is broken", is_hopeless=True)

    def serving(*models: Check) -> Stack:
        service = dataclasses.replace(web, check=lambda: [*web.check(), *models])
        return Stack(tmp_path / "run", [service])

    with pytest.raises(StackError, match="web has nothing to serve: model b is broken"):
        serving(lost).up()
    stack = serving(Check("model a", ok=True), lost)
    try:
        assert stack.up() == ["model b is broken"]
        assert not stack.status()[0].ready
    finally:
        stack.down()


def test_what_ends_while_another_starts_is_told_at_once(tmp_path: Path) -> None:
    plain = web_service(tmp_path, "first")
    port = plain.ports[0].number
    code = textwrap.dedent(f"""
        import http.server, os, threading
        class Once(http.server.SimpleHTTPRequestHandler):
            def do_GET(self):
                super().do_GET()
                print("asked once, and gone", flush=True)
                threading.Timer(0.3, os._exit, [1]).start()
        http.server.HTTPServer(("{HOST}", {port}), Once).serve_forever()
    """)
    first = web_service(tmp_path, "first", port=port, code=code)
    never = dataclasses.replace(
        web_service(tmp_path, "second"), check=lambda: [Check("server", ok=False)]
    )
    stack = Stack(tmp_path / "run", [first, never])
    began = time.monotonic()
    with pytest.raises(StackError, match=r"first ended while second started[\s\S]*asked once"):
        stack.up()
    assert time.monotonic() - began < never.ready_seconds
    assert pids(stack) == [None, None]


@pytest.mark.parametrize(
    "damage",
    ["", "{", "[]", "null", "{}", '{"processes": 3}', "\x00\x00", '{"processes": {"web": {}}}'],
)
def test_a_damaged_record_is_told_with_what_still_runs(stack: Stack, damage: str) -> None:
    stack.up()
    file = stack.run_directory / "stack.json"
    whole, running = file.read_text(), pids(stack)
    file.write_text(damage)
    try:
        for command in (stack.up, stack.status, stack.down, stack.supervision):
            with pytest.raises(StackError, match=r"stack\.json.* is damaged") as damaged:
                command()
            assert f"`kill {' '.join(map(str, sorted(filter(None, running))))}`" in str(
                damaged.value
            )
    finally:
        file.write_text(whole)


def test_a_damaged_record_of_nothing_says_so(tmp_path: Path) -> None:
    (tmp_path / "stack.json").write_bytes(b"\xff\xfe{")
    with pytest.raises(StackError, match="nothing of it runs: remove that file"):
        Stack(tmp_path, []).down()


def test_a_record_that_was_cut_anywhere_is_told(stack: Stack) -> None:
    stack.up()
    file = stack.run_directory / "stack.json"
    whole = file.read_text()
    try:
        for length in range(0, len(whole) - 1, 37):
            file.write_text(whole[:length])
            with pytest.raises(StackError, match="is damaged"):
                StackRecord.load(stack.run_directory)
    finally:
        file.write_text(whole)


def test_another_subject_needs_a_new_start(stack: Stack) -> None:
    one = [dataclasses.replace(service, subject="/one") for service in stack.services]
    Stack(stack.run_directory, one).up()
    two = [dataclasses.replace(service, subject="/two") for service in stack.services]
    with pytest.raises(StackError, match="runs already with /one, not with /two"):
        Stack(stack.run_directory, two).up()
    assert all(status.ready for status in stack.status())


def failing(tmp_path: Path, code: str, **changes: float) -> tuple[Stack, Service]:
    service = dataclasses.replace(web_service(tmp_path, code=code), **changes)  # type: ignore[arg-type]
    return Stack(tmp_path / "run", [service]), service


def test_a_service_that_dies_at_start_gives_its_last_words(tmp_path: Path) -> None:
    stack, _ = failing(tmp_path, "raise SystemExit('no luck today')")
    with pytest.raises(StackError, match=r"web ended while it started[\s\S]*no luck today"):
        stack.up()
    assert pids(stack) == [None]


def test_a_service_that_never_gets_ready_is_stopped(tmp_path: Path) -> None:
    stack, _ = failing(tmp_path, "import time; time.sleep(60)", ready_seconds=0.5)
    with pytest.raises(StackError, match=r"not ready after 0.5 s"):
        stack.up()
    assert pids(stack) == [None]


def test_a_service_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    code = textwrap.dedent("""
        import http.server, os, signal
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        http.server.HTTPServer(("127.0.0.1", PORT), http.server.SimpleHTTPRequestHandler
            ).serve_forever()
    """)
    plain = web_service(tmp_path)
    port = plain.ports[0].number
    service = dataclasses.replace(
        web_service(tmp_path, port=port, code=code.replace("PORT", str(port))), stop_seconds=0.3
    )
    stack = Stack(tmp_path / "run", [service])
    stack.up()
    (pid,) = pids(stack)
    assert pid
    stack.down()
    assert not is_running(pid)


def test_children_that_stay_behind_are_stopped(tmp_path: Path) -> None:
    marker = tmp_path / "child"
    code = textwrap.dedent(f"""
        import pathlib, subprocess, sys, time
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        pathlib.Path({str(marker)!r}).write_text(str(child.pid))
        raise SystemExit("left a child behind")
    """)
    stack, _ = failing(tmp_path, code)
    with pytest.raises(StackError):
        stack.up()
    wait_until_gone(int(marker.read_text()))


def test_a_recycled_process_id_is_left_alone(tmp_path: Path) -> None:
    stack = Stack(tmp_path / "run", [web_service(tmp_path)])
    with subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True
    ) as stranger:
        record = StackRecord()
        real = processes.spawn("web", ["true"], {}, tmp_path / "log", tmp_path)
        record.processes["web"] = dataclasses.replace(
            real, pid=stranger.pid, started=real.started - 1000
        )
        record.ports["web"] = [1]
        stack.run_directory.mkdir()
        record.save(stack.run_directory)
        assert stack.status()[0].died
        assert stack.down() == []
        assert stranger.poll() is None
        stranger.kill()


def test_what_another_process_has_not_reaped_is_dead(tmp_path: Path) -> None:
    """As where the first process of a container reaps nothing."""
    script = textwrap.dedent(f"""
        import dataclasses, json, sys
        from pathlib import Path
        from deploy.local.processes import spawn
        folder = Path({str(tmp_path)!r})
        record = spawn("web", ["sleep", "60"], {{}}, folder / "log", folder)
        print(json.dumps(dataclasses.asdict(record)), flush=True)
        sys.stdin.read()
    """)
    with subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        record = processes.ProcessRecord(**json.loads(parent.stdout.readline()))
        assert processes.is_alive(record)
        began = time.monotonic()
        processes.stop(record, 20)
        assert time.monotonic() - began < 20
        assert not processes.is_alive(record)
        assert processes.orphans(record) == []
        assert Path(f"/proc/{record.pid}").exists()


def test_an_interrupted_start_stops_what_it_started(tmp_path: Path) -> None:
    script = textwrap.dedent(f"""
        import dataclasses, sys
        from pathlib import Path
        from deploy.local.services.service import Check
        from deploy.local.stack import Stack
        from tests.stack.web import web_service
        folder = Path({str(tmp_path)!r})
        service = web_service(folder)
        never = lambda: print("probed", flush=True) or [Check("server", False)]
        Stack(folder / "run", [dataclasses.replace(service, check=never)]).up()
    """)
    with subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as command:
        assert command.stdout is not None
        assert command.stdout.readline() == "probed\n"
        (record,) = StackRecord.load(tmp_path / "run").processes.values()
        assert processes.is_alive(record)
        command.send_signal(signal.SIGINT)
        command.wait(20)
    assert not processes.is_alive(record)
    assert StackRecord.load(tmp_path / "run").processes == {}


def test_two_commands_at_a_time_are_refused(tmp_path: Path) -> None:
    service = web_service(tmp_path)
    outer = Stack(tmp_path / "run", [service])
    inner: list[StackError] = []

    def up_again() -> None:
        try:
            Stack(tmp_path / "run", [service]).up()
        except StackError as error:
            inner.append(error)

    launch = service.launch

    def meanwhile() -> object:
        up_again()
        return launch()

    outer.services = (dataclasses.replace(service, launch=meanwhile),)  # type: ignore[arg-type]
    outer.up()
    outer.down()
    assert "wait for it" in str(inner[0])
