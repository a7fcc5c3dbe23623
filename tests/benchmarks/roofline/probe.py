"""The peaks of this processor, by a small library that is compiled on the spot."""

import ctypes
import os
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from engine.native.build import compilers
from engine.native.library import backends
from tests.benchmarks.speed.workload import BUILD

SOURCE = Path(__file__).with_name("probe.cpp")
_FLAGS = ("-std=c++17", "-O3", "-fPIC", "-shared", "-Wno-psabi")
_SECONDS = 0.2
_ALIGNMENT = 64


class ProbeError(RuntimeError):
    """The peaks can't be measured here; the message says why."""


class Probe:
    """Measures with the instructions that our kernels use here.

    Raises:
        ProbeError: no compiler could build it, or it knows no INT8 instructions of the processor.

    """

    def __init__(self) -> None:
        self._library = ctypes.CDLL(str(_built()))
        self._library.probe_products.restype = ctypes.c_int64
        self.isa = backends()[0]
        if not self._products(1):
            raise ProbeError(f"no INT8 instructions are known for {self.isa}")

    def int8_products(self, threads: int) -> float:
        """Products (a multiplication and an addition) a second of so many cores, from registers."""
        return _rate(self._products, threads)

    def bytes_read(self, size: int, threads: int) -> float:
        """Bytes a second that so many cores read, each from a buffer of its own again and again.

        The buffer comes from the nearest cache that holds it, or from memory.
        """
        buffers = [_aligned(size) for _ in range(threads)]
        free = list(buffers)

        def work(times: int) -> int:
            buffer = free.pop()
            arguments = buffer.ctypes.data, buffer.nbytes, times
            self._library.probe_read(self.isa.encode(), *map(ctypes.c_int64, arguments))
            free.append(buffer)
            return times * buffer.nbytes

        return _rate(work, threads)

    def _products(self, rounds: int) -> int:
        call = self._library.probe_products
        return int(call(self.isa.encode(), ctypes.c_int64(rounds)))


def _rate(work: Callable[[int], int], threads: int) -> float:
    """Units a second of all threads together, of a run that takes about a fifth of a second."""
    rounds = 1
    while (seconds := _timed(work, rounds, 1)[1]) < _SECONDS / 4:
        rounds = max(2 * rounds, int(rounds * min(64.0, _SECONDS / 4 / max(seconds, 1e-6))))
    rounds = max(1, int(rounds * _SECONDS / seconds))
    best = 0.0
    for _ in range(3):  # the peak is what another program does not take away
        units, seconds = _timed(work, rounds, threads)
        best = max(best, units / seconds)
    return best


def _timed(work: Callable[[int], int], rounds: int, threads: int) -> tuple[int, float]:
    with ThreadPoolExecutor(threads) as pool:
        began = time.perf_counter()
        units = sum(pool.map(work, [rounds] * threads))
        return units, time.perf_counter() - began


def _aligned(size: int) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    whole = np.ones(size + _ALIGNMENT, np.uint8)
    start = -whole.ctypes.data % _ALIGNMENT
    return whole[start : start + size]


def _built() -> Path:
    output = BUILD / "roofline" / f"probe.{os.getpid()}.so"
    output.parent.mkdir(parents=True, exist_ok=True)
    said = "there is no C++ compiler"
    for compiler in compilers():
        command = [*compiler, *_FLAGS, str(SOURCE), "-o", str(output)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return output.rename(output.with_name("probe.so"))
        said = done.stderr
    raise ProbeError(said)
