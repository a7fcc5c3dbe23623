"""How fast a variant is and what memory it takes, measured in a process of its own."""

import multiprocessing
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles

import psutil

from engine.contract.manifest import read_manifest
from engine.runtime.batch import run_texts
from engine.runtime.decoding.settings import example_options
from engine.runtime.encoders.engine import EncoderEngine
from engine.runtime.encoders.request import EncoderItem, EncoderOptions
from engine.runtime.engine import Engine

TOGETHER = 64
"""Texts in flight when throughput is measured."""

ALONE = 64
"""Texts that run one after the other, for latency."""


@dataclass(frozen=True)
class Speed:
    """Latency of one text alone in ms, texts a second with 64 in flight, resident memory in MB.

    Memory is what the process has after all texts beyond what it had before the variant was loaded.
    """

    p50_ms: float
    p95_ms: float
    texts_per_second: float
    megabytes: float


def measure_speed(files: Path, texts: Sequence[str]) -> Speed:
    """Measures the variant whose files are in `files` on this machine's processor."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=1, mp_context=context) as pool:
        return pool.submit(_measure, files, list(texts)).result()


def _measure(files: Path, texts: list[str]) -> Speed:
    before = _resident()
    manifest = read_manifest(files)
    if manifest.kind == "encoder":
        reader = EncoderEngine(files)

        def run(some: Sequence[str]) -> None:
            for start in range(0, len(some), TOGETHER):
                chunk = some[start : start + TOGETHER]
                reader.run([EncoderItem(text, "", EncoderOptions()) for text in chunk])

        speed = _timed(run, texts)
        after = _resident()
        reader.close()
    else:
        engine = Engine(files)
        engine.start()
        options = example_options(manifest, num_beams=1)
        speed = _timed(lambda some: run_texts(engine, some, options, TOGETHER), texts)
        after = _resident()
        engine.stop()
    return Speed(*speed, megabytes=after - before)


def _timed(run: Callable[[Sequence[str]], object], texts: list[str]) -> tuple[float, float, float]:
    run(texts[:TOGETHER])  # the first batch of each shape costs a set-up
    alone = []
    for text in texts[:ALONE]:
        began = time.perf_counter()
        run([text])
        alone.append(1000 * (time.perf_counter() - began))
    began = time.perf_counter()
    run(texts)
    rate = len(texts) / (time.perf_counter() - began)
    cuts = quantiles(alone, n=20) if len(alone) > 1 else alone * 19
    return cuts[9], cuts[18], rate


def _resident() -> float:
    return psutil.Process().memory_info().rss / 1e6
