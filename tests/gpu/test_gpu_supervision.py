"""What becomes of a phase takes nothing from the others."""

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.gpu.supervisor import Phase, Result, Supervisor, Worker

WORKER = """
import json, os, signal, sys, time
from pathlib import Path

for name in sys.argv[2:]:
    file = Path(sys.argv[1], name + ".json")

    def write(**part):
        file.with_suffix(".new").write_text(json.dumps(part))
        file.with_suffix(".new").replace(file)

    write(begun=True)
    if name == "hangs":
        time.sleep(60)
    if name == "crashes":
        os.kill(os.getpid(), signal.SIGSEGV)
    if name == "leaves":
        os._exit(3)
    if name == "fails":
        write(begun=True, error="ValueError: no", seconds=0.1)
        break
    write(process=os.getpid(), seconds=0.1)
"""


def supervise(folder: Path, phases: Sequence[Phase], seconds: float = 60.0) -> tuple[Result, int]:
    """The result, and how many processes there were."""
    started: list[Worker] = []
    saved: list[Result] = []

    def start(names: Sequence[str]) -> Worker:
        command = [sys.executable, "-c", WORKER, str(folder), *names]
        started.append(subprocess.Popen(command, start_new_session=True))
        return started[-1]

    supervisor = Supervisor(start, folder, seconds, lambda result: saved.append(dict(result)))
    result = supervisor.run(phases)
    assert all(worker.poll() is not None for worker in started)
    assert saved[-1] == result
    return result, len(started)


def test_a_phase_that_hangs_crashes_or_fails_is_noted_and_others_go_on(tmp_path: Path) -> None:
    names = ["first", "crashes", "second", "hangs", "third", "leaves", "fails", "last"]
    phases = [Phase(name, 1.5 if name == "hangs" else 30.0, "one") for name in names]
    result, processes = supervise(tmp_path, phases)
    assert list(result) == names
    assert result["crashes"]["error"] == "its process was ended by SIGSEGV"
    assert result["leaves"]["error"] == "its process ended with 3"
    assert result["hangs"]["error"] == "took more than 2 s"
    assert result["hangs"]["begun"]  # what it had found
    assert result["fails"]["error"] == "ValueError: no"
    assert all("error" not in result[name] for name in ("first", "second", "third", "last"))
    assert processes == 5


def test_phases_share_a_process_of_their_name(tmp_path: Path) -> None:
    result, processes = supervise(tmp_path, [Phase("a", 9, "x"), Phase("b", 9, "x")])
    assert (result["a"]["process"] == result["b"]["process"], processes) == (True, 1)
    result, processes = supervise(tmp_path, [Phase("c", 9, "x"), Phase("d", 9, "y")])
    assert (result["c"]["process"] != result["d"]["process"], processes) == (True, 2)


def test_what_comes_after_the_time_is_told_of(tmp_path: Path) -> None:
    begin = time.monotonic()
    phases = [Phase("hangs", 60.0, "x"), Phase("late", 60.0, "y")]
    result, processes = supervise(tmp_path, phases, seconds=3.0)
    assert result["hangs"]["error"] == "took more than 3 s"
    assert result["late"]["error"] == "no time was left"
    assert processes == 1
    assert time.monotonic() - begin < 30


def test_what_does_not_start_is_told_of(tmp_path: Path) -> None:
    def start(_names: Sequence[str]) -> Worker:
        raise FileNotFoundError("no Python")

    supervisor = Supervisor(start, tmp_path, 9.0, lambda _result: None)
    result = supervisor.run([Phase("a", 9, "x"), Phase("b", 9, "x")])
    assert [part["error"] for part in result.values()] == ["can't start: no Python"] * 2
