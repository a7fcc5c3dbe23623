"""How much cores slow each other down, by the memory and the caches that they share."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from threading import Barrier

from engine.parallel.processor.probe import LAYERS, WIDE, reference_sizes
from engine.parallel.processor.reference import Stored
from engine.parallel.processor.stopwatch import stopwatch

_ROWS, _POSITION, _SECONDS, _ROUNDS = 16, 16, 0.1, 3


def measure_contention(stored: Stored, cores: int) -> float:
    """How much longer a step takes while so many cores make steps, as a factor of 1 or more.

    Of the reference model whose weights lie in the third cache, where all cores read the same.

    Raises:
        NativeMissingError: the native library was not built.

    """
    if cores < 2:
        return 1.0
    config = reference_sizes(layers=LAYERS[stored][2], hidden=WIDE)
    # A model of its own is timed alone: lanes that do nothing would help one of theirs.
    with stopwatch(config, stored) as single, stopwatch(config, stored) as shared:
        alone = single.bunch(_ROWS, _POSITION, _POSITION)
        calls = [one.bunch(_ROWS, _POSITION, _POSITION) for one in shared.siblings(cores)]
        ratios = [_rate([alone]) / _rate(calls) for _ in range(_ROUNDS)]
    return max(1.0, median(ratios))


def _rate(calls: list[Callable[[], None]]) -> float:
    """The calls of each of as many threads in a second of its own, on average."""
    start = Barrier(len(calls))

    def work(call: Callable[[], None]) -> float:
        start.wait()
        until, began, count = time.perf_counter() + _SECONDS, time.thread_time(), 0
        while time.perf_counter() < until:
            call()
            count += 1
        return count / (time.thread_time() - began)

    with ThreadPoolExecutor(len(calls)) as pool:
        return sum(pool.map(work, calls)) / len(calls)
