"""Runs something in a process of its own, whose memory nothing else moves."""

import gc
import multiprocessing
import os
import resource
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from services.jobs.errors import InvalidInputError
from services.jobs.intake import InputForm, IntakeLimits, read_items


@dataclass(frozen=True)
class Grown:
    """By how many bytes it grew at most, and at the end; the most that a child of it had."""

    peak: int
    rest: int
    child: int
    result: Any


def grown(run: Callable[..., Any], *arguments: Any) -> Grown:
    """Runs a function of a module in a fresh process."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_measured, run, arguments).result()


def refused(data: bytes | Iterable[bytes], form: InputForm, limits: IntakeLimits) -> str:
    """Why an input is refused, which it has to be."""
    chunks = [data] if isinstance(data, bytes) else data
    with pytest.raises(InvalidInputError) as caught:
        for _ in read_items(chunks, form, limits):
            pass
    return str(caught.value)


def _measured(run: Callable[..., Any], arguments: tuple[Any, ...]) -> Grown:
    before = resident()
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    result = run(*arguments)
    gc.collect()
    status = Path("/proc/self/status").read_text().splitlines()
    peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return Grown(1024 * peak - before, resident() - before, 1024 * child, result)


def resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
