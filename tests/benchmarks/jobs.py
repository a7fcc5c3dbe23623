"""`make bench-jobs`: batch jobs beside a direct client of the same Triton, and their neighbours.

The direct client keeps Triton saturated with the same texts in the same order, and does nothing
else: no gateway, no queue, no store.
"""

import argparse
import asyncio
import json
import os
import platform
import random
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from seqway import Client, Job, TextDelta

from deploy.local.assembly import running_full_stack
from deploy.local.interrupts import exit_on_sigterm
from deploy.local.ports import HOST
from deploy.local.records import StackRecord
from deploy.local.settings import StackSettings
from engine.contract.events import End
from engine.contract.options import Options, Priority
from services.inference.settings import InferenceSettings
from services.inference.triton.engine import TritonEngine
from tests.benchmarks import SHORT_HELP

ROOT = Path(__file__).parents[2]
TEXTS = ROOT / "examples" / "data" / "en-fr.test.jsonl"
BUILD = ROOT / "build" / "bench"
MODEL = "en-fr_int8"
DIRECT_LINES, DIRECT_GROUP, DIRECT_WINDOW = 10_000, 8, 128
STREAMS, STREAM_PAUSE = 800, 0.02
SHORT_LINES, SHORT_DIRECT_LINES, SHORT_STREAMS = 4_000, 500, 20
SMALL = 10


def main() -> None:
    """Measures, prints a table and writes build/bench/jobs.json."""
    parser = argparse.ArgumentParser(prog="make bench-jobs", description=__doc__)
    parser.add_argument("--lines", type=int, default=100_000, help="lines of the large job")
    parser.add_argument("--short", action="store_true", help=SHORT_HELP)
    arguments = parser.parse_args()
    exit_on_sigterm()
    if arguments.short:
        arguments.lines = SHORT_LINES
    with _stack() as (settings, client), Progress(transient=True) as progress:
        streams = SHORT_STREAMS if arguments.short else STREAMS
        bench = Bench(settings, client, progress, streams)
        direct = SHORT_DIRECT_LINES if arguments.short else DIRECT_LINES
        figures = bench.measure(arguments.lines, direct)
    BUILD.mkdir(parents=True, exist_ok=True)
    (BUILD / "jobs.json").write_text(json.dumps(figures, indent=2), encoding="utf-8")
    Console().print(as_table(figures, arguments.lines))


class Bench:
    """One running stack, measured."""

    def __init__(
        self, settings: StackSettings, client: Client, progress: Progress, streams: int
    ) -> None:
        self._settings = settings
        self._client = client
        self._progress = progress
        self._streams = streams

    def measure(self, lines: int, direct_lines: int) -> dict[str, float]:
        """All figures, by name; the direct client has so many lines, at most all."""
        texts = sentences(lines)
        direct = texts[:direct_lines]
        self._job("warming up", texts[:500])
        before = self._direct(direct)
        small = self._job("a tenth of the lines", texts[: lines // 10])
        large = self._job("all lines", texts)
        after = self._direct(direct)
        doubled = self._job("every other line comes again", with_duplicates(texts))
        best = statistics.mean([before, after])
        return {
            "direct client, items/s": best,
            "job, items/s": large["speed"],
            "job / direct client": large["speed"] / best,
            "job with 50 % duplicates, items/s": doubled["speed"],
            "with duplicates / without": doubled["speed"] / large["speed"],
            "time to accept the job, s": large["accept"],
            **{f"peak of {name}, {lines // 10} lines, MB": small[name] for name in PROCESSES},
            **{f"peak of {name}, {lines} lines, MB": large[name] for name in PROCESSES},
            **self._neighbours(texts),
        }

    def _job(self, title: str, texts: list[str]) -> dict[str, float]:
        """Speed and memory of a job, whose every line is checked."""
        self._forget_peaks()
        task = self._progress.add_task(title, total=len(texts))
        began = time.perf_counter()
        job = self._client.jobs.translate(texts, model=MODEL, source="en", target="fr")
        accepted = time.perf_counter()
        for shown in self._client.jobs.watch(job.id):
            self._progress.update(task, completed=shown.counts.done)
        ended = time.perf_counter()
        self._check(self._client.jobs.get(job.id), texts)
        peaks = self._peaks()
        self._client.jobs.delete(job.id)
        return {"speed": len(texts) / (ended - began), "accept": accepted - began, **peaks}

    def _check(self, job: Job, texts: list[str]) -> None:
        assert job.counts.succeeded == job.counts.total == len(texts), job
        count = 0
        for index, result in enumerate(self._client.jobs.results(job.id)):
            assert result.index == index and result.text, result
            count += 1
        assert count == len(texts)

    def _direct(self, texts: list[str]) -> float:
        self._progress.add_task("direct client", total=None)
        port = self._settings.ports.triton_grpc.number
        return asyncio.run(direct_speed(f"{HOST}:{port}", texts))

    def _neighbours(self, texts: list[str]) -> dict[str, float]:
        """What others see of an idle server, and of one that a job saturates."""
        self._progress.add_task("streams and a small tenant beside a job", total=None)
        probes = [text for text in _sources() if 40 < len(text) < 120]
        idle = self._first_tokens(probes)
        job = self._client.jobs.translate(texts, model=MODEL, source="en", target="fr")
        while self._client.jobs.get(job.id).counts.done < 500:
            time.sleep(0.1)
        waited = self._small_tenant(texts)
        done, began = self._client.jobs.get(job.id).counts.done, time.perf_counter()
        busy = self._first_tokens(probes)
        running = self._client.jobs.get(job.id)
        seconds = time.perf_counter() - began
        assert not running.state.ended, "the job was too small to be a neighbour"
        self._client.jobs.cancel(job.id)
        self._client.jobs.wait(job.id)
        return {
            "first token, idle, p50, ms": idle[len(idle) // 2],
            "first token, idle, p95, ms": idle[len(idle) * 95 // 100],
            "first token, beside a job, p50, ms": busy[len(busy) // 2],
            "first token, beside a job, p95, ms": busy[len(busy) * 95 // 100],
            "first token p95, beside a job / idle": busy[len(busy) * 95 // 100]
            / idle[len(idle) * 95 // 100],
            "job beside the streams, items/s": (running.counts.done - done) / seconds,
            f"{SMALL} lines of another tenant, s": waited,
        }

    def _first_tokens(self, texts: list[str]) -> list[float]:
        """Sorted milliseconds to the first piece of text, of one stream after another."""
        times = []
        for number in range(self._streams):
            began = time.perf_counter()
            text = texts[number % len(texts)]
            with self._client.stream_translate(
                text, model=MODEL, source="en", target="fr"
            ) as stream:
                next(event for event in stream if isinstance(event, TextDelta))
            times.append(1000 * (time.perf_counter() - began))
            time.sleep(STREAM_PAUSE)
        return sorted(times)

    def _small_tenant(self, texts: list[str]) -> float:
        with Client(self._client.address, tenant="small") as other:
            began = time.perf_counter()
            job = other.jobs.translate(texts[-SMALL:], model=MODEL, source="en", target="fr")
            other.jobs.wait(job.id)
            return time.perf_counter() - began

    def _forget_peaks(self) -> None:
        for pids in self._pids().values():
            for pid in pids:
                Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")

    def _peaks(self) -> dict[str, float]:
        """The most resident memory, in MB, of the largest process of each service."""
        return {name: max(map(_peak, pids)) for name, pids in self._pids().items()}

    def _pids(self) -> dict[str, list[int]]:
        processes = StackRecord.load(self._settings.run_directory).processes
        return {name: list(_tree(processes[name].pid)) for name in PROCESSES}


PROCESSES = ("gateway", "worker", "controller")


async def direct_speed(address: str, texts: list[str]) -> float:
    """Texts a second of a client that has a full window at Triton all the time."""
    engine = TritonEngine(InferenceSettings(triton_url=address))
    generation = Options(priority=Priority.BULK, source_language="en", target_language="fr")
    left = list(reversed(texts))
    open_requests: dict[str, int] = {}
    in_flight = 0
    began = time.perf_counter()
    with engine.open(MODEL, asyncio.get_running_loop().time() + 3600) as session:
        while left or in_flight:
            while left and in_flight + DIRECT_GROUP <= DIRECT_WINDOW:
                group = [left.pop() for _ in range(min(DIRECT_GROUP, len(left)))]
                open_requests[session.submit(group, generation)] = len(group)
                in_flight += len(group)
            for response in await session.receive():
                ended = sum(isinstance(event, End) for event in response.events)
                in_flight -= ended
                open_requests[response.request_id] -= ended
                if not open_requests[response.request_id]:
                    session.release(response.request_id)
    speed = len(texts) / (time.perf_counter() - began)
    await engine.close()
    return speed


def sentences(count: int) -> list[str]:
    """Different texts of 3 to 14 words of the test set."""
    rng = random.Random(1)
    words = [word for source in _sources() for word in source.split()]
    made: dict[str, None] = {}
    while len(made) < count:
        made[" ".join(rng.choice(words) for _ in range(rng.randint(3, 14)))] = None
    return list(made)


def with_duplicates(texts: list[str]) -> list[str]:
    """As many texts, of which half come a second time, in no order."""
    rng = random.Random(2)
    half = texts[: len(texts) // 2]
    doubled = half + half
    rng.shuffle(doubled)
    return doubled


def as_table(figures: dict[str, float], lines: int) -> Table:
    """The figures, with the hardware and the date."""
    hardware = f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores"
    date = datetime.now(tz=UTC).date()
    title = f"{lines:,} lines, {MODEL} ({hardware}, {date})"
    table = Table("", "", title=title, title_justify="left")
    for name, value in figures.items():
        table.add_row(name, f"{value:,.0f}" if value >= 100 else f"{value:.2f}")
    return table


def _sources() -> list[str]:
    with TEXTS.open(encoding="utf-8") as file:
        return [json.loads(line)["source"] for line in file]


def _tree(pid: int) -> Iterator[int]:
    yield pid
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split():
        yield from _tree(int(child))


def _peak(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1000


@contextmanager
def _stack() -> Iterator[tuple[StackSettings, Client]]:
    settings = StackSettings()
    repository = BUILD / "jobs-repository"
    repository.mkdir(parents=True, exist_ok=True)
    link = repository / MODEL
    link.unlink(missing_ok=True)
    link.symlink_to((settings.model_repository / MODEL).resolve())
    own = StackSettings(model_repository=repository)
    with (
        running_full_stack(own) as (started, _),
        Client(f"{HOST}:{started.ports.gateway.number}", timeout=3600) as client,
    ):
        yield started, client


if __name__ == "__main__":
    main()
