"""Processor time and memory of a system, with all its processes."""

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import psutil


@dataclass(frozen=True, slots=True)
class Footprint:
    """Processor time since its processes began, and memory now, with shared pages once."""

    cpu_seconds: float
    memory_bytes: int
    pids: frozenset[int]

    def cpu_since(self, before: "Footprint") -> float:
        """Processor time since then; not a number where a process has ended, with its time."""
        if before.pids - self.pids:
            return math.nan
        return self.cpu_seconds - before.cpu_seconds


def footprint(pids: Sequence[int]) -> Footprint:
    """That of processes with all their children; those that have ended are left out."""
    seconds, memory, found = 0.0, 0, set()
    for each in _family(pids):
        with suppress(psutil.NoSuchProcess):
            times, pages = each.cpu_times(), each.memory_full_info().pss
            seconds, memory = seconds + times.user + times.system, memory + pages
            found.add(each.pid)
    return Footprint(seconds, memory, frozenset(found))


def _family(pids: Sequence[int]) -> list[psutil.Process]:
    family: dict[int, psutil.Process] = {}
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            family |= {each.pid: each for each in (process, *process.children(recursive=True))}
    return list(family.values())
