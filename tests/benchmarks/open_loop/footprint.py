"""Processor time and memory of a system, with all its processes."""

import math
from collections.abc import Sequence
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
    """That of processes with all their children."""
    family = {
        each.pid: each
        for pid in pids
        for each in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True))
    }
    times = [each.cpu_times() for each in family.values()]
    return Footprint(
        sum(each.user + each.system for each in times),
        sum(each.memory_full_info().pss for each in family.values()),
        frozenset(family),
    )
