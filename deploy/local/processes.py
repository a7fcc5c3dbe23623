"""Background processes that outlive the command that started them.

A process is known by its id *and* its start time, so that an id that the kernel has given to
somebody else is never signalled.  Each one leads a process group of its own, which finds the
children that it leaves behind.  Linux only, as Triton is.
"""

import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from deploy.local.interrupts import deferred_interrupts

_POLL_SECONDS = 0.05
_OWNER = "SEQWAY_STACK"  # a variable of each process: the run directory of its stack
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_children: list[psutil.Popen] = []  # one that is dropped while it runs makes a warning


@dataclass(frozen=True, slots=True)
class ProcessRecord:
    """A started process; `started` is in hundredths of a second since the boot with id `boot`."""

    name: str
    pid: int
    started: int
    boot: str


def spawn(
    name: str, command: Sequence[str], environment: Mapping[str, str], log: Path, directory: Path
) -> ProcessRecord:
    """Starts a process in `directory` with stdout and stderr appended to `log`.

    `log` stands in the run directory of the stack.  `OSError` when the program can't be run.
    """
    with log.open("ab") as output:
        child = psutil.Popen(
            command,
            env={**environment, _OWNER: str(log.parent)},
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    _children.append(child)
    return ProcessRecord(name, child.pid, _started(child), _boot_id())


def is_alive(record: ProcessRecord) -> bool:
    """Whether this very process still runs."""
    process = _find(record)
    return process is not None and _runs(process)


def stop(record: ProcessRecord, grace_seconds: float) -> None:
    """SIGTERM, a deadline, SIGKILL; then the same end for what it left in its group."""
    with deferred_interrupts():
        process = _find(record)
        if process is not None and not _ends(process, process.terminate, grace_seconds):
            _ends(process, process.kill, grace_seconds)
        left = orphans(record)
        for orphan in left:
            with suppress(psutil.NoSuchProcess):
                orphan.kill()
        # Until they have ended they may hold sockets that they inherited.
        psutil.wait_procs(left, timeout=grace_seconds)


def orphans(record: ProcessRecord) -> list[psutil.Process]:
    """Live members of the group of a process that has ended.

    While a group has members the kernel gives its id to no new process, so a process that has the
    id and another start time proves that the group is gone.
    """
    if record.boot != _boot_id() or (psutil.pid_exists(record.pid) and _find(record) is None):
        return []
    found = []
    for pid in psutil.pids():
        with suppress(ProcessLookupError, psutil.NoSuchProcess):
            if os.getpgid(pid) == record.pid and _runs(process := psutil.Process(pid)):
                found.append(process)
    return found


def members_of(run_directory: Path) -> dict[int, str]:
    """The processes of a stack, whatever its record says: their ids and programs."""
    return {
        process.pid: process.info["name"]
        for process in psutil.process_iter(["environ", "name"])
        if (process.info["environ"] or {}).get(_OWNER) == str(run_directory)
    }


def _find(record: ProcessRecord) -> psutil.Process | None:
    """The very process, also when it is a zombie."""
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(record.pid)
        if (_boot_id(), _started(process)) == (record.boot, record.started):
            return process
    return None


def _started(process: psutil.Process) -> int:
    """From the boot on: a time of day would change when the clock is set."""
    return round(100 * (process.create_time() - psutil.boot_time()))


def _runs(process: psutil.Process) -> bool:
    """Whether it has not ended; one that has, and is a child of ours, is reaped."""
    with suppress(psutil.NoSuchProcess):
        try:
            process.wait(0)
        except psutil.TimeoutExpired:  # also for a zombie of another parent
            return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def _ends(process: psutil.Process, send: Callable[[], None], seconds: float) -> bool:
    """Sends a signal; whether the process has ended when the time is over."""
    with suppress(psutil.NoSuchProcess):
        send()
    deadline = time.monotonic() + seconds
    while _runs(process):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def _boot_id() -> str:
    return _BOOT_ID.read_text(encoding="ascii").strip()
