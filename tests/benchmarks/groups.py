"""Data-parallel groups on this processor: one, then two and more, each on a core of its own.

`python -m tests.benchmarks.groups [FOLDER]` measures the saturated throughput of each number of
groups, and what becomes of the rows when a group is killed at work. The front and its caller are in
one more process, which may run on any core, as in service.
"""

import argparse
import os
import signal
import statistics
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from engine.contract.events import End, Event
from engine.contract.options import Options, Priority
from engine.parallel.groups.engine import GroupedEngine
from engine.parallel.layout import Layout
from engine.runtime.engine import Settings
from engine.runtime.request import Request, Sink
from tests.benchmarks.speed.workload import ROOT, descriptions

_VARIANT = ROOT / "model_repository" / "en-fr_int8" / "1"
_TEXTS = 16
_IN_FLIGHT = 2
"""Requests of a lane's slots at once, so that no slot waits for its caller."""
_WARM_SECONDS = 2.0


@dataclass
class GroupLoadCaller:
    """Keeps a number of requests in flight, and counts what comes of each row."""

    engine: GroupedEngine
    in_flight: int
    accepted: int = 0
    ends: Counter[tuple[int, int]] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    tokens: int = 0
    _stopped: threading.Event = field(default_factory=threading.Event)
    _free: threading.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        self._free = threading.Semaphore(self.in_flight)

    @contextmanager
    def calling(self) -> Iterator[None]:
        """Calls until the block ends, and until all that was accepted has ended."""
        thread = threading.Thread(target=self._call)
        thread.start()
        try:
            yield
        finally:
            self._stopped.set()
            self._free.release()
            thread.join()
            for _ in range(self.in_flight + 1):
                self._free.acquire()

    def _call(self) -> None:
        texts = descriptions(4000)
        number = 0
        while self._free.acquire() and not self._stopped.is_set():
            place = number * _TEXTS % len(texts)
            options = Options(priority=Priority.BULK, source_language="en", target_language="fr")
            asked = texts[place : place + _TEXTS]
            self.accepted += len(asked)
            self.engine.submit(Request(str(number), asked, options, self._sink(number)))
            number += 1
        self._free.release()

    def _sink(self, number: int) -> Sink:
        def sink(events: list[Event], last: bool) -> None:
            for event in events:
                if isinstance(event, End):
                    self.ends[number, event.index] += 1
                    self.reasons[event.finish_reason] += 1
                    self.tokens += event.output_tokens
            if last:
                self._free.release()

        return sink


@contextmanager
def groups_on_cores(folder: Path, count: int) -> Iterator[GroupedEngine]:
    """So many groups of one lane, on the first cores of this process, which itself may use all."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[:count])
    try:
        engine = GroupedEngine(folder, Settings(lanes=1), Layout(data=count))
    finally:
        os.sched_setaffinity(0, cores)
    engine.start()
    try:
        yield engine
    finally:
        engine.stop()


def throughput(folder: Path, count: int, seconds: float) -> float:
    """Tokens of answers a second with so many groups."""
    with groups_on_cores(folder, count) as engine:
        caller = GroupLoadCaller(engine, in_flight_of(engine))
        with caller.calling():
            time.sleep(_WARM_SECONDS)
            before, began = caller.tokens, time.monotonic()
            time.sleep(seconds)
            return (caller.tokens - before) / (time.monotonic() - began)


def in_flight_of(engine: GroupedEngine) -> int:
    """Requests that fill all slots, and as many again."""
    return _IN_FLIGHT * engine.slots // _TEXTS


@dataclass(frozen=True)
class KillFigures:
    """What became of rows while a group was killed in mid-load."""

    accepted: int
    once: int
    rerun: int
    back_seconds: float
    reasons: dict[str, int]


def kill_one(folder: Path, count: int, seconds: float) -> KillFigures:
    """Kills a group of several at work, and waits until it is back."""
    with groups_on_cores(folder, count) as engine:
        caller = GroupLoadCaller(engine, in_flight_of(engine))
        with caller.calling():
            time.sleep(seconds / 2)
            os.kill(engine.groups[0].pids[0], signal.SIGKILL)
            began = time.monotonic()
            while not (engine.restarts == 1 and engine.live_groups == count):
                time.sleep(0.02)
            back = time.monotonic() - began
            time.sleep(seconds / 2)
        once = sum(times == 1 for times in caller.ends.values())
        return KillFigures(
            caller.accepted, once, engine.rerun_rows, back, dict(sorted(caller.reasons.items()))
        )


def main() -> None:
    """Prints a table and what the kill has shown."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.groups", description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=_VARIANT, help="of a variant")
    parser.add_argument("--groups", type=int, default=2, help="how many at most (2)")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement (5)")
    parser.add_argument("--rounds", type=int, default=1, help="in turns; medians are printed (1)")
    given = parser.parse_args()
    counts = range(1, given.groups + 1)
    found: dict[int, list[float]] = {count: [] for count in counts}
    for _ in range(given.rounds):
        for count in counts:
            found[count].append(throughput(given.folder, count, given.seconds))
    medians = {count: statistics.median(values) for count, values in found.items()}
    table = Table("groups", "tokens/s", "of one")
    for count, median in medians.items():
        table.add_row(str(count), f"{median:,.0f}", f"{median / medians[1]:.2f}")
    console = Console()
    console.print(table)
    if given.groups > 1:
        console.print(kill_one(given.folder, given.groups, given.seconds))


if __name__ == "__main__":
    main()
