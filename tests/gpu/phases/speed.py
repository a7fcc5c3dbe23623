"""How long a decoder step takes, of rows of equal length, and which kernels it is made of.

The second is a phase of its own: a profiler that fails takes no time that was measured with it.
"""

import csv
import time
from dataclasses import replace
from statistics import median
from typing import Any

import torch
from torch import profiler

from engine.contract.manifest import Manifest
from engine.runtime.sessions.interrupt import Interrupt
from engine.runtime.sessions.slots import Slots
from engine.runtime.sessions.torch.device import TorchDevice
from engine.runtime.sessions.torch.model import TorchModel
from engine.runtime.sessions.torch.session import TorchSession
from engine.runtime.sessions.torch.weights import load_model
from tests.gpu.part import Part
from tests.gpu.phases.bench import Bench, median_seconds
from tests.gpu.schedule import KERNELS_FILE
from tests.gpu.shapes import MARIAN_BASE, floor_seconds, manifest_of, random_model

TARGET_MICROSECONDS = {1: (130, 200), 32: (180, 260), 256: (350, 450), 1024: (1000, 1300)}
"""A step of Marian base on an H100: what was aimed at, from and to."""
_TIMES = 5


def speed(bench: Bench, part: Part) -> None:
    """Through the session, and on the device alone: Marian base, then the example model."""
    size, place = bench.size, TorchDevice(bench.index)
    dtype = torch.float16 if bench.is_cuda else torch.float32
    with place.use():
        folder = bench.variant_in("fp16" if bench.is_cuda else "fp32")
        example = load_model(folder, place.device, dtype)
        shape = random_model(size.shape, place.device, dtype, size.longest)
    place.wait()
    models: dict[str, tuple[TorchModel, Manifest]] = {
        size.shape.name: (shape, manifest_of(size.shape, size.longest)),
        # Its answers do not end before their limit.
        "en-fr": (example, replace(bench.manifest, eos_id=-1)),
    }
    for name, (model, manifest) in models.items():
        part[name] = dict[str, Any]()
        for rows in size.rows:
            steps = _Steps(TorchSession.over(model, manifest, rows, place, 0), rows, size.tokens)
            found = part[name][str(rows)] = steps.timed()
            least = floor_seconds(model, rows, size.tokens)
            found["floor_us"] = least * 1e6
            found["share_of_floor"] = least / (found["step_us"] / 1e6)
            if size.shape is MARIAN_BASE and model is shape and rows in TARGET_MICROSECONDS:
                target = TARGET_MICROSECONDS[rows]
                found["target_us"] = list(target)
                found["share_of_target"] = [one / found["step_us"] for one in target]
            part.save()
            del steps


def profile(bench: Bench, part: Part) -> None:
    """How many kernels a step of Marian base launches; `KERNELS_FILE` gets which, and times."""
    size, place = bench.size, TorchDevice(bench.index)
    dtype = torch.float16 if bench.is_cuda else torch.float32
    with place.use():
        model = random_model(size.shape, place.device, dtype, size.longest)
    place.wait()
    manifest = manifest_of(size.shape, size.longest)
    for rows in size.profiled:
        session = TorchSession.over(model, manifest, rows, place, 0)
        kernels = _Steps(session, rows, size.tokens).kernels()
        _write(bench, kernels, rows)
        counts, times = zip(*((count, spent) for _, count, spent in kernels), strict=True)
        part[str(rows)] = {"kernels_a_step": sum(counts), "us_a_step": sum(times)}
        part.save()


def _write(bench: Bench, kernels: list[tuple[str, float, float]], rows: int) -> None:
    """Adds a step's kernels to the file, the longest first."""
    path = bench.out / KERNELS_FILE
    is_new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        if is_new:
            table.writerow(["rows", "name", "count", "us"])
        for name, count, microseconds in kernels:
            table.writerow([rows, name[:160], round(count, 2), round(microseconds, 3)])


class _Steps:
    """Steps in the second half of answers as long as their sources, of `tokens`."""

    def __init__(self, session: TorchSession, rows: int, tokens: int) -> None:
        self._session, self._rows, self._tokens = session, rows, tokens
        self._slots: Slots = session.slots(rows)
        encoded = session.encode([[7] * tokens] * rows)
        self._slots.admit(encoded, [tokens] * rows, [4 * tokens] * rows)
        session.run(self._slots, tokens // 2, 60, Interrupt())

    def timed(self) -> dict[str, Any]:
        """Medians, in microseconds."""
        steps, calls = self._tokens // 2, 0

        def several() -> None:
            nonlocal calls
            self._rewind()
            done = calls = 0
            while done < steps:
                done += self._session.run(self._slots, steps - done, 60, Interrupt()).steps
                calls += 1

        several()
        whole = median_seconds(several, _TIMES) / steps
        self._rewind()
        taken = [self._seconds_on_device() for _ in range(_TIMES)]
        device = median(taken)
        host = max(0.0, whole - device)
        return {
            "step_us": whole * 1e6,
            "device_us": device * 1e6,
            "device_us_extremes": [min(taken) * 1e6, max(taken) * 1e6],
            "host_us": host * 1e6,
            "host_us_a_call": host * steps / calls * 1e6,
            "tokens_per_second": self._rows / whole,
        }

    def kernels(self) -> list[tuple[str, float, float]]:
        """Name, launches and microseconds of what runs in a step, the longest first."""
        is_cuda, steps = self._session._device.is_cuda, self._tokens // 2
        self._rewind()
        self._prepare()
        kinds = profiler.ProfilerActivity
        activity = kinds.CUDA if is_cuda else kinds.CPU
        with profiler.profile(activities=[activity]) as watched:
            self._replay(steps)
        found = []
        for one in watched.key_averages():
            spent = one.self_device_time_total if is_cuda else one.self_cpu_time_total
            if spent > 0 and not one.key.startswith("cuda"):  # calls of the host
                found.append((one.key, one.count / steps, spent / steps))
        return sorted(found, key=lambda kernel: -kernel[2])

    def _seconds_on_device(self) -> float:
        """Of a step that no host looks at: replays of a graph on a GPU."""
        steps = self._tokens // 2
        self._prepare()
        begin = time.perf_counter()
        self._replay(steps)
        return (time.perf_counter() - begin) / steps

    def _prepare(self) -> None:
        session = self._session
        with session._device.use():
            session._used.state.upload(self._slots, 1)
            session._device.wait()

    def _replay(self, steps: int) -> None:
        """The same step again and again: its rows stay where they are."""
        session = self._session
        with session._device.use():
            for _ in range(steps):
                session._used.state.restart()
                session._used.step(self._slots.rows, self._tokens)
            session._device.wait()

    def _rewind(self) -> None:
        self._session._used_bunches.forget()  # steps made ahead are of other positions
        self._slots.positions[:] = self._tokens // 2
