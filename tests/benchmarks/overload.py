"""`make bench-overload`: ten minutes of more calls than there is room for.

First callers that wait for their answers find what the stack can do; then calls come at random,
a fifth more than that.  Client, gateway, Triton and model share the machine.
"""

import argparse
import asyncio
import json
import statistics
import time
from pathlib import Path

import matplotlib.pyplot as plt
from rich.console import Console
from rich.progress import Progress, TaskID
from rich.table import Table

from deploy.local.assembly import running_stack
from deploy.local.interrupts import exit_on_sigterm
from deploy.local.ports import HOST
from deploy.local.records import StackRecord
from deploy.local.settings import StackSettings
from tests.benchmarks import SHORT_HELP
from tests.overload.load import Callers, Outcome, resident, several_clients

BUILD = Path(__file__).parents[2] / "build" / "bench"
MODEL = "en-fr_int8"
IN_FLIGHT, WARM_SECONDS, CAPACITY_SECONDS = 64, 10.0, 40.0
BUCKET, LOOK = 10.0, 5.0


def main() -> None:
    """Measures, prints a table, writes build/bench/overload.json and overload.png."""
    parser = argparse.ArgumentParser(prog="make bench-overload", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0, help="how long (default 600)")
    parser.add_argument("--share", type=float, default=1.2, help="of capacity (default 1.2)")
    parser.add_argument("--deadline", type=float, default=2.0, help="of each call, in seconds")
    parser.add_argument(
        "--long-share", type=float, default=0.0, help="of calls that are documents (default 0)"
    )
    parser.add_argument("--short", action="store_true", help=SHORT_HELP)
    arguments = parser.parse_args()
    exit_on_sigterm()
    if arguments.short:
        arguments.seconds = BUCKET
    with running_stack(StackSettings()) as stack, Progress(transient=True) as progress:
        figures = asyncio.run(measure(stack, arguments, progress))
    BUILD.mkdir(parents=True, exist_ok=True)
    (BUILD / "overload.json").write_text(json.dumps(figures, indent=2), encoding="utf-8")
    plot(figures, BUILD / "overload.png")
    Console().print(as_table(figures))
    ends: dict[str, int] = figures["ends"]  # type: ignore[assignment]
    unexpected = ends.keys() - {"answered", "refused", "too late"}
    if unexpected:
        raise SystemExit(f"calls ended with {', '.join(sorted(unexpected))}")


async def measure(
    stack: StackSettings, arguments: argparse.Namespace, progress: Progress
) -> dict[str, object]:
    """All figures, by name."""
    processes = StackRecord.load(stack.run_directory).processes
    pids = {name: processes[name].pid for name in ("gateway", "triton")}
    async with several_clients(f"{HOST}:{stack.ports.gateway.number}") as clients:
        callers = Callers(clients, arguments.deadline, MODEL, arguments.long_share)
        progress.add_task("warming up", total=None)
        await callers.closed(IN_FLIGHT, 2.0 if arguments.short else WARM_SECONDS)
        progress.add_task("what the stack can do", total=None)
        peak = await callers.closed(IN_FLIGHT, BUCKET if arguments.short else CAPACITY_SECONDS)
        capacity = statistics.mean(peak.goodput(BUCKET))
        sizes: list[dict[int, int]] = []
        looking = asyncio.create_task(_look(list(pids.values()), sizes))
        task = progress.add_task(f"{arguments.share:.0%} of it", total=arguments.seconds)
        showing = asyncio.create_task(_show(progress, task, arguments.seconds))
        outcome = await callers.open(capacity * arguments.share, arguments.seconds)
        looking.cancel()
        showing.cancel()
    return _figures(capacity, peak, outcome, arguments, pids, sizes)


def _figures(
    capacity: float,
    peak: Outcome,
    outcome: Outcome,
    arguments: argparse.Namespace,
    pids: dict[str, int],
    sizes: list[dict[int, int]],
) -> dict[str, object]:
    goodput = outcome.goodput(BUCKET)[: int(arguments.seconds // BUCKET)]
    ordered = sorted(outcome.seconds)
    middle = len(sizes) // 2
    return {
        "seconds": arguments.seconds,
        "capacity, answers/s": capacity,
        "offered, calls/s": capacity * arguments.share,
        "goodput, answers/s": statistics.mean(goodput),
        "goodput / capacity": statistics.mean(goodput) / capacity,
        "worst 10 s / capacity": min(goodput) / capacity,
        "p50, s": ordered[len(ordered) // 2],
        "p99, s": ordered[int(len(ordered) * 0.99)],
        "p99 at capacity, s": sorted(peak.seconds)[int(len(peak.seconds) * 0.99)],
        "ends": dict(outcome.ends),
        "too late, of those let in": _late(outcome.ends["too late"], outcome.ends["answered"]),
        "too late, of long ones let in": _late(outcome.late_long, outcome.answered_long),
        "refused without a hint": outcome.without_hint,
        "goodput": goodput,
        "memory, MB": {
            name: [round(each[pid] / 1e6, 1) for each in sizes] for name, pid in pids.items()
        },
        "memory, last / middle": {
            name: sizes[-1][pid] / sizes[middle][pid] for name, pid in pids.items()
        },
    }


def _late(late: int, answered: int) -> float:
    return late / max(1, late + answered)


async def _look(pids: list[int], sizes: list[dict[int, int]]) -> None:
    while True:
        sizes.append(resident(pids))
        await asyncio.sleep(LOOK)


async def _show(progress: Progress, task: TaskID, seconds: float) -> None:
    began = time.monotonic()
    while True:
        await asyncio.sleep(1)
        progress.update(task, completed=min(seconds, time.monotonic() - began))


def plot(figures: dict[str, object], path: Path) -> None:
    """Goodput over time beside what was offered, and memory."""
    figure, (above, below) = plt.subplots(2, 1, figsize=(8, 6), layout="constrained")
    goodput: list[float] = figures["goodput"]  # type: ignore[assignment]
    above.step([BUCKET * n for n in range(len(goodput))], goodput, where="post", label="answered")
    for name, style in (("capacity, answers/s", "-"), ("offered, calls/s", ":")):
        above.axhline(figures[name], color="grey", linestyle=style, label=name)
    above.set(ylabel="calls/s", xlabel="s", ylim=(0, None))
    above.legend()
    memory: dict[str, list[float]] = figures["memory, MB"]  # type: ignore[assignment]
    for name, sizes in memory.items():
        below.plot([LOOK * n for n in range(len(sizes))], sizes, label=name)
    below.set(ylabel="resident, MB", xlabel="s", ylim=(0, None))
    below.legend()
    figure.savefig(path, dpi=120)


def as_table(figures: dict[str, object]) -> Table:
    """The figures that are one number, or few."""
    table = Table("", "")
    for name, value in figures.items():
        if name in ("goodput", "memory, MB"):
            continue
        table.add_row(name, f"{value:,.3f}" if isinstance(value, float) else str(value))
    return table


if __name__ == "__main__":
    main()
