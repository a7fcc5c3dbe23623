"""Data-parallel groups on this processor: one, then two and more, each on a core of its own.

`make bench-groups` measures the saturated throughput of each number of groups, and what becomes of
the rows when a group is killed at work. The front and its caller are in one more process, which may
run on any core, as in service. "busy" is the share of the time in which the groups' processes ran:
where it is not about 100 %, something else wanted their cores, and tokens/s say less than the
tokens of a second of a core. "simulated" is what the simulator says of the same lengths, from
figures of this processor that are measured in turn with the groups, and how far that is from the
best round: like these figures it has the least of what others do on the machine.
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
from typing import get_args

import psutil
from rich.console import Console
from rich.table import Table

from engine.contract.events import End, Event
from engine.contract.manifest import read_manifest
from engine.contract.options import Options, Priority
from engine.parallel.groups.engine import GroupedEngine
from engine.parallel.layout import Layout
from engine.parallel.processor.probe import CoreProbe
from engine.parallel.processor.reference import Stored
from engine.runtime.engine import Settings
from engine.runtime.request import Request, Sink
from tests.benchmarks import SHORT_HELP
from tests.benchmarks.simulated_groups import simulated_tokens
from tests.benchmarks.speed.workload import ROOT, descriptions

_VARIANT = ROOT / "model_repository" / "en-fr_int8" / "1"
_TEXTS = 16
_IN_FLIGHT = 2
"""Requests of a lane's slots at once, so that no slot waits for its caller."""
_WARM_SECONDS, _SHORT_SECONDS = 2.0, 1.0
BOUND = 0.15


@dataclass
class GroupLoadCaller:
    """Keeps a number of requests in flight, and counts what comes of each row."""

    engine: GroupedEngine
    in_flight: int
    accepted: int = 0
    ends: Counter[tuple[int, int]] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    lengths: list[tuple[int, int]] = field(default_factory=list)
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
                    self.lengths.append((event.input_tokens, event.output_tokens))
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


@dataclass(frozen=True)
class GroupSpeed:
    """Tokens a second, and processor seconds of the groups and of the front in each second.

    `lengths` are the tokens of each row's source and answer.
    """

    tokens: float
    groups: float
    front: float
    lengths: list[tuple[int, int]]


def throughput(folder: Path, count: int, seconds: float) -> GroupSpeed:
    """What so many groups do when all slots have rows."""
    with groups_on_cores(folder, count) as engine:
        ranks = [psutil.Process(pid) for group in engine.groups for pid in group.pids]
        caller = GroupLoadCaller(engine, in_flight_of(engine))
        with caller.calling():
            time.sleep(_WARM_SECONDS)
            began, before = time.monotonic(), _counts(engine, ranks)
            time.sleep(seconds)
            after, passed = _counts(engine, ranks), time.monotonic() - began
    tokens, groups, front = ((a - b) / passed for a, b in zip(after, before, strict=True))
    return GroupSpeed(tokens, groups, front, caller.lengths)


def _counts(engine: GroupedEngine, ranks: list[psutil.Process]) -> tuple[float, float, float]:
    times = [sum(rank.cpu_times()[:2]) for rank in ranks]
    return engine.gauges.tokens, sum(times), time.process_time()


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


def _row(speeds: list[GroupSpeed], ones: list[GroupSpeed], count: int) -> list[str]:
    speed, one = (statistics.median(each.tokens for each in some) for some in (speeds, ones))
    of_core = statistics.median(each.tokens / each.groups for each in speeds)
    busy = statistics.median(each.groups for each in speeds) / count
    front = statistics.median(each.front for each in speeds)
    return [f"{speed:,.0f}", f"{speed / one:.2f}", f"{of_core:,.0f}", f"{busy:.0%}", f"{front:.0%}"]


def _error(simulated: float, speeds: list[GroupSpeed]) -> float:
    """By how much what was simulated is more than the best round."""
    return simulated / max(each.tokens for each in speeds) - 1


def main() -> None:
    """Prints a table and what the kill has shown."""
    parser = argparse.ArgumentParser(prog="make bench-groups", description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=_VARIANT, help="of a variant")
    parser.add_argument("--groups", type=int, default=2, help="how many at most (2)")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement (5)")
    parser.add_argument("--rounds", type=int, default=3, help="in turns; medians are printed (3)")
    parser.add_argument("--short", action="store_true", help=SHORT_HELP)
    given = parser.parse_args()
    if given.short:
        given.seconds = _SHORT_SECONDS
    precision = read_manifest(given.folder).precision
    kinds: tuple[Stored, ...] = get_args(Stored)
    stored = next((kind for kind in kinds if kind == precision), None)
    if stored is None:
        parser.error(f"{given.folder} is {precision}; give a variant of {' or '.join(kinds)}.")
    counts = range(1, given.groups + 1)
    found: dict[int, list[GroupSpeed]] = {count: [] for count in counts}
    simulated: dict[int, float] = {}
    with CoreProbe(stored) as probe:
        for _ in range(1 if given.short else given.rounds):
            for count in counts:
                found[count].append(throughput(given.folder, count, given.seconds))
                lengths = found[count][-1].lengths
                simulated[count] = simulated_tokens(given.folder, probe, count, lengths)
    header = ["tokens/s", "of one", "tokens of a core's second", "busy", "front", "simulated"]
    table = Table("groups", *header)
    errors = {count: _error(simulated[count], found[count]) for count in counts}
    for count, error in errors.items():
        row = _row(found[count], found[1], count)
        table.add_row(str(count), *row, f"{simulated[count]:,.0f} ({error:+.0%})")
    console = Console()
    console.print(table)
    if given.groups > 1:
        console.print(kill_one(given.folder, given.groups, given.seconds))
    if not given.short and abs(errors[given.groups]) > BOUND:
        raise SystemExit("the simulated run differs by more than 15 %")


if __name__ == "__main__":
    main()
