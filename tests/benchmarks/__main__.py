"""`make bench`: tokens a second of our runtime, alone and through the gateway, against peers.

Systems are timed in turn, round after round, so that a machine whose speed drifts is fair to
all; the median of the rounds counts.
"""

import argparse
import json
import os
import platform
import statistics
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from deploy.local.assembly import StackSettings, running_stack
from engine.export.exporter import ExportJob, export
from engine.model.checkpoint import load_checkpoint
from engine.runtime.engine import Engine, Settings
from tests.benchmarks import SHORT_HELP
from tests.benchmarks.checkpoints import write_marian_base
from tests.benchmarks.systems import (
    THREADS,
    CTranslate2,
    Gateway,
    InProcess,
    System,
    Transformers,
    convert_to_ctranslate2,
    tokens_per_second,
    with_beams,
)

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "checkpoints" / "en-fr"
DATA = ROOT / "examples" / "data"
BUILD = ROOT / "build" / "bench"
IN_FLIGHT = (1, 8, 32, 64)
MAX_NEW_TOKENS = 32
BEAMS = 4
SLOW = "transformers fp32"
HOST_TIME = "microseconds of host time a call"
# Texts that a caller translates, one after the other; one caller alone translates twice as many.
TEXTS_EACH = 4


def main() -> None:
    """Times both checkpoints and prints a table for each."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="timed rounds (default 3)")
    parser.add_argument("--only", choices=["en-fr", "marian-base"], help="one checkpoint")
    parser.add_argument("--short", action="store_true", help=SHORT_HELP)
    arguments = parser.parse_args()
    if arguments.short:
        arguments.rounds = 1
    torch.set_num_threads(THREADS)
    console = Console()
    checkpoints = {"en-fr": EXAMPLE, "marian-base": BUILD / "checkpoints" / "marian-base"}
    if not (checkpoints["marian-base"] / "model.safetensors").exists():
        write_marian_base(EXAMPLE, checkpoints["marian-base"])
    for name, checkpoint in checkpoints.items():
        if arguments.only in (None, name):
            texts_each = 1 if arguments.short else TEXTS_EACH
            results = measure(name, checkpoint, arguments.rounds, texts_each, console)
            console.print(as_table(name, results))
            (BUILD / f"{name}.json").write_text(json.dumps(results, indent=2), encoding="utf-8")


def measure(
    name: str, checkpoint: Path, rounds: int, texts_each: int, console: Console
) -> dict[str, dict[int, float]]:
    """Median tokens a second of each system at each number in flight, and host times."""
    texts = read_texts()
    repository = BUILD / "repository" / name
    job = ExportJob(load_checkpoint(checkpoint), name, ("en", "fr"), repository, texts[:64])
    (variant,) = export(job, ["int8"])
    converted = convert_to_ctranslate2(checkpoint, BUILD / "ctranslate2" / name)
    engine = Engine(variant / "1", Settings(lanes=THREADS))
    with running_stack(StackSettings(model_repository=repository)) as stack:
        address = f"127.0.0.1:{stack.ports.gateway.number}"
        ours = [InProcess(engine, beams) for beams in (1, BEAMS)]
        peers = [
            CTranslate2(converted, checkpoint, inter, THREADS // inter, beams)
            for beams in (1, BEAMS)
            for inter in (1, THREADS)
        ]
        gateways = [Gateway(address, variant.name, stream=stream) for stream in (False, True)]
        engine.start()
        try:
            systems: list[System] = [*ours, *gateways, *peers, Transformers(checkpoint)]
            results = _time(systems, texts, rounds, texts_each, console)
        finally:
            engine.stop()
    return results | {f"{HOST_TIME} ({one.name})": one.host_microseconds() for one in ours}


def _time(
    systems: Sequence[System], texts: list[str], rounds: int, texts_each: int, console: Console
) -> dict[str, dict[int, float]]:
    speeds: dict[str, dict[int, list[float]]] = {
        system.name: {count: [] for count in IN_FLIGHT} for system in systems
    }
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("timing", total=rounds * len(systems) * len(IN_FLIGHT))
        for in_flight in IN_FLIGHT:
            work = texts[: (2 if in_flight == 1 else 1) * texts_each * in_flight]
            for turn in range(rounds):
                for system in systems:
                    if turn == 0:
                        system.run(work[: 2 * in_flight], in_flight, MAX_NEW_TOKENS)
                    if turn == 0 or system.name != SLOW:
                        speed = tokens_per_second(system, work, in_flight, MAX_NEW_TOKENS)
                        speeds[system.name][in_flight].append(speed)
                    progress.advance(task)
    return {
        name: {count: round(statistics.median(values)) for count, values in by_count.items()}
        for name, by_count in speeds.items()
    }


def read_texts() -> list[str]:
    """Single sentences of 14 to 26 words of the test set, as often as it takes to make 256."""
    rows = [json.loads(line) for line in (DATA / "en-fr.test.jsonl").open(encoding="utf-8")]
    sentences = [
        row["source"]
        for row in rows
        if 14 <= len(row["source"].split()) <= 26 and row["source"].count(". ") == 0
    ]
    return (sentences * (256 // len(sentences) + 1))[:256]


def as_table(name: str, results: dict[str, dict[int, float]]) -> Table:
    """The speeds, and the ratios that the project aims at."""
    hardware = f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores, {THREADS} used"
    date = datetime.now(tz=UTC).date()
    title = f"{name}: tokens/s, at most {MAX_NEW_TOKENS} new tokens ({hardware}, {date})"
    table = Table("in flight", *map(str, IN_FLIGHT), title=title, title_justify="left")
    for system, speeds in results.items():
        table.add_row(system, *(f"{speeds[count]:,.0f}" for count in IN_FLIGHT))
    table.add_section()
    for beams in (1, BEAMS):
        peers = [
            speeds
            for system, speeds in results.items()
            if system.startswith("CTranslate2") and ("beams" in system) == (beams > 1)
        ]
        best = {count: max(speeds[count] for speeds in peers) for count in IN_FLIGHT}
        ours = results[with_beams("seqway in-process", beams)]
        table.add_row(with_beams("in-process / best CTranslate2", beams), *_ratios(ours, best))
    greedy = results["seqway in-process"]
    table.add_row("gateway / in-process", *_ratios(results["seqway gateway"], greedy))
    return table


def _ratios(left: dict[int, float], right: dict[int, float]) -> list[str]:
    return [f"{left[count] / right[count]:.2f}" for count in IN_FLIGHT]


if __name__ == "__main__":
    sys.exit(main())
