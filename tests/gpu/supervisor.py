"""Runs phases in processes of their own: what hangs or crashes in one takes nothing from others."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from tests.gpu.part import read_part

Result = dict[str, Any]
Worker = subprocess.Popen[bytes]

_LEAST_SECONDS = 2.0
"""Less is not worth a start."""
_POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Phase:
    """A phase has `seconds` at most; those that follow each other share a process of one name."""

    name: str
    seconds: float
    process: str


class Supervisor:
    """Fills `result` phase by phase, and has it saved whenever it changes.

    `start` begins a process, a session leader, that does phases of these names in turn and writes
    what it finds to `parts/NAME.json` (see `Part`): "seconds" last, behind "error" where one
    failed, after which it ends.  All phases together take `seconds` at most.
    """

    def __init__(
        self,
        start: Callable[[Sequence[str]], Worker],
        parts: Path,
        seconds: float,
        save: Callable[[Result], None],
    ) -> None:
        self.result: Result = {}
        self._start, self._parts, self._save = start, parts, save
        self._end = time.monotonic() + seconds

    def run(self, phases: Sequence[Phase]) -> Result:
        """Does phases in turn; each has its part in the result, whatever becomes of it."""
        waiting = list(phases)
        while waiting:
            if self._left() < _LEAST_SECONDS:
                self._note(waiting.pop(0).name, {"error": "no time was left", "seconds": 0.0})
                continue
            _, group = next(groupby(waiting, lambda one: one.process))
            del waiting[: self._work(list(group))]
        return self.result

    def _left(self) -> float:
        return self._end - time.monotonic()

    def _work(self, phases: Sequence[Phase]) -> int:
        """Has one process do phases until one fails; how many came to an end."""
        try:
            worker = self._start([phase.name for phase in phases])
        except OSError as error:
            self._note(phases[0].name, {"error": f"can't start: {error}", "seconds": 0.0})
            return 1
        try:
            for count, phase in enumerate(phases, 1):
                self._watch(worker, phase)
                if "error" in self.result[phase.name]:
                    return count
        finally:
            _kill(worker)
        return len(phases)

    def _watch(self, worker: Worker, phase: Phase) -> None:
        """Waits for the end of a phase."""
        begin, limit = time.monotonic(), min(phase.seconds, self._left())
        while True:
            has_ended = worker.poll() is not None  # before its file is read
            part, spent = read_part(self._parts / f"{phase.name}.json"), time.monotonic() - begin
            if "seconds" not in part:
                if has_ended:
                    part |= {"error": _ending(worker.returncode), "seconds": round(spent, 2)}
                elif spent > limit:
                    part |= {"error": f"took more than {limit:.0f} s", "seconds": round(spent, 2)}
            if part != self.result.get(phase.name):
                self._note(phase.name, part)
            if "seconds" in part:
                return
            time.sleep(_POLL_SECONDS)

    def _note(self, name: str, part: Result) -> None:
        self.result[name] = part
        self._save(self.result)


def _ending(code: int) -> str:
    if code < 0:
        return f"its process was ended by {signal.Signals(-code).name}"
    return f"its process ended with {code}"


def _kill(worker: Worker) -> None:
    """Ends a process and what it has started."""
    with suppress(ProcessLookupError):
        os.killpg(worker.pid, signal.SIGKILL)
    worker.wait()
