"""Background processes that outlive the command that started them.

A process is known by its id *and* its start time, so that an id that the kernel has given to
somebody else is never signalled.  Each one leads a process group of its own, which finds the
children that it leaves behind.  Linux only (/proc), as Triton is.
"""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from deploy.local.interrupts import deferred_interrupts

_POLL_SECONDS = 0.05
_OWNER = "SEQWAY_STACK"  # a variable of each process: the run directory of its stack
_children: dict[int, subprocess.Popen[bytes]] = {}


@dataclass(frozen=True, slots=True)
class ProcessRecord:
    """One started process; `started` is in clock ticks since the boot with the id `boot`."""

    name: str
    pid: int
    started: int
    boot: str


@dataclass(frozen=True, slots=True)
class _Stat:
    """What /proc tells of a process."""

    state: str
    group: int
    started: int


def spawn(
    name: str, command: Sequence[str], environment: Mapping[str, str], log: Path, directory: Path
) -> ProcessRecord:
    """Starts a process in `directory` with stdout and stderr appended to `log`.

    `log` stands in the run directory of the stack.  `OSError` when the program can't be run.
    """
    with log.open("ab") as output:
        child = subprocess.Popen(
            command,
            env={**environment, _OWNER: str(log.parent)},
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    _children[child.pid] = child
    stat = _stat(child.pid)
    assert stat is not None, "a child stays in /proc until it is waited for"
    return ProcessRecord(name, child.pid, stat.started, _boot_id())


def is_alive(record: ProcessRecord) -> bool:
    """Whether this very process still runs."""
    child = _children.get(record.pid)
    if child is not None:
        child.poll()  # reaps it, when it is a child of ours and has ended
    if record.boot != _boot_id():
        return False
    stat = _stat(record.pid)
    return stat is not None and stat.started == record.started and stat.state != "Z"


def stop(record: ProcessRecord, grace_seconds: float) -> None:
    """SIGTERM, a deadline, SIGKILL; then the same end for what it left in its group."""
    with deferred_interrupts():
        if is_alive(record):
            _signal(record.pid, signal.SIGTERM)
            if not _wait_dead(record, grace_seconds):
                _signal(record.pid, signal.SIGKILL)
                _wait_dead(record, grace_seconds)
        for pid in orphans(record):
            _signal(pid, signal.SIGKILL)


def _signal(pid: int, number: signal.Signals) -> None:
    """Sends a signal to a process that may have ended a moment ago."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _wait_dead(record: ProcessRecord, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while is_alive(record):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def orphans(record: ProcessRecord) -> list[int]:
    """Live members of the group of a process that has ended.

    While a group has members the kernel gives its id to no new process, so a process that has the
    id and another start time proves that the group is gone.
    """
    if record.boot != _boot_id():
        return []
    leader = _stat(record.pid)
    if leader is not None and leader.started != record.started:
        return []
    pids = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    found = ((pid, _stat(pid)) for pid in pids)
    return [
        pid
        for pid, stat in found
        if stat is not None and stat.group == record.pid and stat.state != "Z"
    ]


def members_of(run_directory: Path) -> dict[int, str]:
    """The processes of a stack, whatever its record says: their ids and programs."""
    mark = f"{_OWNER}={run_directory}".encode()
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (folder / "environ").read_bytes().split(b"\0"):
                found[int(folder.name)] = (folder / "comm").read_text().strip()
        except OSError:
            continue  # somebody else's, or gone
    return {pid: found[pid] for pid in sorted(found)}


def _stat(pid: int) -> _Stat | None:
    """None when there is no such process; see proc(5) for the fields."""
    try:
        line = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = line.rpartition(")")[2].split()  # the name before may hold spaces and brackets
    return _Stat(state=fields[0], group=int(fields[2]), started=int(fields[19]))


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
