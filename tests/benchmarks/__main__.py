"""`make bench`: our runtime and service beside their peers, by speed and by their answers."""

import argparse
import json
import math
import os
import platform
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from deploy.local.interrupts import exit_on_sigterm
from tests.benchmarks import SHORT_HELP
from tests.benchmarks.checkpoints import write_marian_base
from tests.benchmarks.parts.closed_part import measure_closed_loop
from tests.benchmarks.parts.length_part import measure_lengths
from tests.benchmarks.parts.open_part import measure_open_loop
from tests.benchmarks.parts.roofline_part import measure_roofline
from tests.benchmarks.parts.subject import PartResult, Scale, Subject, prepare
from tests.benchmarks.report.publication import block_of, save_plot, with_blocks
from tests.benchmarks.speed.workload import BUILD, EXAMPLE, ROOT
from tests.benchmarks.systems.system import THREADS

DOCUMENT = ROOT / "docs" / "benchmarks.md"
RANDOM = "marian-base"
CHECKPOINTS = {"en-fr": EXAMPLE, RANDOM: BUILD / "checkpoints" / RANDOM}
SMALL = BUILD / "checkpoints" / "marian-small"
PARTS: dict[str, Callable[[Subject], PartResult]] = {
    "closed": measure_closed_loop,
    "open": measure_open_loop,
    "lengths": measure_lengths,
    "roofline": measure_roofline,
}
# What the short form leaves out, since the other checkpoint shows that it runs.
LONG_PARTS = {RANDOM: ("open", "lengths")}


def main() -> None:
    """Measures both checkpoints, prints tables, and writes them with plots to build/bench."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--rounds", type=positive, default=3, help="timed rounds (default 3)")
    parser.add_argument("--only", choices=CHECKPOINTS, help="one checkpoint")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="(all)")
    parser.add_argument(
        "--in-flight", type=positive, nargs="+", default=[], help="texts at once, of `closed`"
    )
    parser.add_argument("--short", action="store_true", help=SHORT_HELP)
    parser.add_argument("--small", action="store_true", help=f"a small checkpoint for {RANDOM}")
    parser.add_argument(
        "--publish", action="store_true", help="write tables and plots to docs/benchmarks.md, too"
    )
    arguments = parser.parse_args()
    exit_on_sigterm()
    names = [arguments.only] if arguments.only else list(CHECKPOINTS)
    if arguments.publish:
        places = {f"{part} {name}": "" for part in arguments.parts for name in names}
        with_blocks(DOCUMENT.read_text(encoding="utf-8"), places)
    torch.set_num_threads(THREADS)
    console = Console()
    console.print(machine())
    checkpoints = CHECKPOINTS | ({RANDOM: SMALL} if arguments.small else {})
    if not (checkpoints[RANDOM] / "model.safetensors").exists():
        write_marian_base(EXAMPLE, checkpoints[RANDOM], small=arguments.small)
    scale = Scale(
        1 if arguments.short else arguments.rounds, arguments.short, tuple(arguments.in_flight)
    )
    for name in names:
        subject = prepare(name, checkpoints[name], scale, console)
        for part in arguments.parts:
            if arguments.short and part in LONG_PARTS.get(name, ()):
                console.print(f"{name}: {part} only in the long form")
                continue
            result = PARTS[part](subject)
            show(f"{part} {name}", result, machine(), console, publish=arguments.publish)


def positive(text: str) -> int:
    """A whole number from 1 on.

    Raises:
        ArgumentTypeError: it is none.

    """
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 on")
    return int(text)


def show(name: str, result: PartResult, place: str, console: Console, *, publish: bool) -> None:
    """Prints tables, and keeps all of a part in build/bench and with `publish` in the documents.

    `place` says where it was measured, and when.
    """
    for grid in result.grids:
        console.print(grid.as_table())
    stem = "bench-" + name.replace(" ", "-")
    figures = json.dumps({"machine": place, **finite(result.figures)}, indent=2)
    (BUILD / f"{stem}.json").write_text(figures, encoding="utf-8")
    if result.plot:
        save_plot(result.plot, BUILD / f"{stem}.svg")
    block = block_of(place, result.grids, f"{stem}.svg" if result.plot else None)
    (BUILD / f"{stem}.md").write_text(block + "\n", encoding="utf-8")
    if publish:
        text = DOCUMENT.read_text(encoding="utf-8")
        DOCUMENT.write_text(with_blocks(text, {name: block}), encoding="utf-8")
        if result.plot:
            save_plot(result.plot, DOCUMENT.with_name(f"{stem}.svg"))


def finite(value: Any) -> Any:
    """The value with null for numbers that JSON does not have: what was not answered."""
    if isinstance(value, dict):
        return {key: finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def machine(peers: Sequence[str] = ("ctranslate2", "transformers"), used: int = THREADS) -> str:
    """The processor and how many cores of it are used, the peers' versions and the date."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    processor = names[0] if names else platform.machine()
    cores = len(os.sched_getaffinity(0))
    versions = ", ".join(f"{name} {version(name)}" for name in peers)
    date = datetime.now(tz=UTC).date()
    return f"{processor}, {cores} cores, {used} used; {versions}; {date}"


if __name__ == "__main__":
    main()
