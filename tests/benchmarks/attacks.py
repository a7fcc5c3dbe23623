"""`make bench-attacks`: how long a caller who behaves waits while the gateway is attacked.

Quiet stretches stand before and behind each attack, so that a machine whose speed drifts is fair.
Client, attacker, gateway, Triton and model share the machine; the attacker runs at the lowest
priority, since it would not compete for these cores from elsewhere.
"""

import argparse
import json
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from deploy.local.interrupts import exit_on_sigterm
from deploy.local.settings import StackSettings
from tests.attacks.attacks import ATTACKS, Target
from tests.attacks.fortress import Fortress, WellBehaved, fortress
from tests.benchmarks import SHORT_HELP

BUILD = Path(__file__).parents[2] / "build" / "bench"
QUIET_SECONDS = 10.0
SHORT_SECONDS, SHORT_ATTACKS = 1.0, 2  # `tests/attacks` makes every attack
_SPAWN = multiprocessing.get_context("spawn")


def main() -> None:
    """Measures, prints a table and writes build/bench/attacks.json."""
    parser = argparse.ArgumentParser(prog="make bench-attacks", description=__doc__)
    parser.add_argument("--only", default="", help="the attacks whose names hold this (all)")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each attack (default 20)")
    parser.add_argument("--short", action="store_true", help=SHORT_HELP)
    arguments = parser.parse_args()
    exit_on_sigterm()
    pause = QUIET_SECONDS
    if arguments.short:
        arguments.seconds, pause = SHORT_SECONDS, SHORT_SECONDS
    chosen = [attack for attack in ATTACKS if arguments.only in attack.__name__]
    if not chosen:
        names = ", ".join(attack.__name__ for attack in ATTACKS)
        parser.error(f"--only {arguments.only!r} is in no attack's name; there are: {names}")
    if arguments.short:
        chosen = chosen[:SHORT_ATTACKS]
    with fortress(StackSettings()) as built:
        quiet(built, pause)  # warms up
        before = quiet(built, pause)
        rows = []
        for attack in track(chosen, "attacks", transient=True):
            size = built.resident()
            with WellBehaved(built) as caller:
                attacker = _SPAWN.Process(
                    target=_attack, args=(attack, built.target, arguments.seconds)
                )
                attacker.start()
                attacker.join()
            if attacker.exitcode:
                raise SystemExit(f"{attack.__name__} failed")
            after = quiet(built, pause)
            base = statistics.mean([before.p99(), after.p99()])
            rows.append(
                {
                    "attack": attack.__name__.replace("_", " "),
                    "quiet p99, ms": base * 1000,
                    "p99, ms": caller.p99() * 1000,
                    "ratio": caller.p99() / base,
                    "failed calls": len(caller.failures),
                    "more memory, MB": (built.resident() - size) / 1e6,
                }
            )
            before = after
    BUILD.mkdir(parents=True, exist_ok=True)
    (BUILD / "attacks.json").write_text(json.dumps(rows, indent=2), encoding="utf-8")
    table = Table(*rows[0])
    for row in rows:
        table.add_row(
            *(f"{each:.2f}" if isinstance(each, float) else str(each) for each in row.values())
        )
    Console().print(table)
    if any(row["failed calls"] for row in rows):
        raise SystemExit("calls of the caller who behaves failed")


def _attack(attack: Callable[[Target], None], target: Target, seconds: float) -> None:
    """Attacks again and again; gives way to the rest, as it would have a machine of its own."""
    os.nice(19)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        attack(target)


def quiet(built: Fortress, seconds: float) -> WellBehaved:
    """The caller alone, for a while."""
    with WellBehaved(built) as caller:
        time.sleep(seconds)
    return caller


if __name__ == "__main__":
    main()
