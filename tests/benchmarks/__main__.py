"""`make bench`: our runtime and service beside their peers, by speed and by their answers."""

import argparse
import dataclasses
import json
import os
import platform
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import torch
from rich.console import Console

from deploy.local.assembly import running_stack
from deploy.local.settings import StackSettings
from engine.export.exporter import ExportJob, export
from engine.model.checkpoint import load_checkpoint
from engine.runtime.engine import Engine, Settings
from tests.benchmarks import SHORT_HELP
from tests.benchmarks.checkpoints import write_marian_base
from tests.benchmarks.report.closed_loop_tables import host_grid, setting_grid, speed_grid
from tests.benchmarks.report.grid import Grid
from tests.benchmarks.speed.closed_loop import ClosedLoop, time_systems
from tests.benchmarks.speed.workload import BUILD, EXAMPLE, sentences
from tests.benchmarks.systems.ctranslate2_translator import CTranslate2, convert_to_ctranslate2
from tests.benchmarks.systems.gateway import Gateway
from tests.benchmarks.systems.in_process import InProcess
from tests.benchmarks.systems.system import THREADS, System
from tests.benchmarks.systems.transformers_model import Transformers

BEAMS = 4


def main() -> None:
    """Measures both checkpoints, prints tables and writes build/bench/CHECKPOINT.json."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="timed rounds (default 3)")
    parser.add_argument("--only", choices=["en-fr", "marian-base"], help="one checkpoint")
    parser.add_argument("--short", action="store_true", help=SHORT_HELP)
    arguments = parser.parse_args()
    torch.set_num_threads(THREADS)
    console = Console()
    checkpoints = {"en-fr": EXAMPLE, "marian-base": BUILD / "checkpoints" / "marian-base"}
    if not (checkpoints["marian-base"] / "model.safetensors").exists():
        write_marian_base(EXAMPLE, checkpoints["marian-base"])
    hardware = f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores, {THREADS} used"
    console.print(f"{hardware}, {datetime.now(tz=UTC).date()}")
    for name, checkpoint in checkpoints.items():
        if arguments.only in (None, name):
            for grid in measure(name, checkpoint, arguments, console):
                console.print(grid.as_table())


def measure(
    name: str, checkpoint: Path, arguments: argparse.Namespace, console: Console
) -> list[Grid]:
    """The tables of one checkpoint."""
    pairs = sentences()
    repository = BUILD / "repository" / name
    sources = [pair.source for pair in pairs]
    job = ExportJob(load_checkpoint(checkpoint), name, ("en", "fr"), repository, sources[:64])
    (variant,) = export(job, ["int8"])
    converted = convert_to_ctranslate2(checkpoint, BUILD / "ctranslate2" / name)
    loop = closed_loop(arguments, is_trained=name == "en-fr")
    with ExitStack() as stack:
        started = stack.enter_context(running_stack(StackSettings(model_repository=repository)))
        engines = [Engine(variant / "1", Settings(lanes=lanes)) for lanes in (THREADS, 1)]
        for engine in engines:
            engine.start()
            stack.callback(engine.stop)
        ours = [InProcess(engines[0]), InProcess(engines[1]), InProcess(engines[0], BEAMS)]
        oracle = Transformers(checkpoint)
        systems: list[System] = [
            *ours,
            *(
                Gateway(started.gateway_address, variant.name, stream=each)
                for each in (False, True)
            ),
            *(
                CTranslate2(
                    *(converted, checkpoint, beams),
                    rounds=1 if arguments.short else 2,
                    short=arguments.short,
                )
                for beams in (1, BEAMS)
            ),
            oracle,
        ]
        results = time_systems(systems, oracle, pairs, loop, console)
        host = {each.name: each.host_microseconds() for each in ours}
    figures = {"closed": [dataclasses.asdict(each) for each in results], "host": host}
    (BUILD / f"{name}.json").write_text(json.dumps(figures, indent=2), encoding="utf-8")
    return [
        speed_grid(name, results, loop.max_new_tokens),
        setting_grid(name, results),
        host_grid(name, host),
    ]


def closed_loop(arguments: argparse.Namespace, *, is_trained: bool) -> ClosedLoop:
    """How much is timed; the random checkpoint never ends an answer by itself."""
    short = arguments.short
    return ClosedLoop(
        rounds=1 if short else arguments.rounds,
        in_flight=(1, 8, 32) if short else (1, 8, 32, 64, 256),
        texts_each=1 if short else 4,
        max_new_tokens=32,
        judged=(16 if is_trained else 4) if short else (121 if is_trained else 48),
        judged_tokens=128 if is_trained else 32,
        is_trained=is_trained,
    )


if __name__ == "__main__":
    main()
