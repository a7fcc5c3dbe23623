"""`python -m tests.benchmarks.simulator`: simulated runs of groups beside measured ones.

One and two groups, each a process on a core of its own, answer a burst of texts, and texts that
come at random. The simulator gets the same moments and lengths, and the micro-figures of this
processor; nothing is fitted to the runs. `--runs FILE` compares runs that were measured elsewhere
on this machine (`recorded_run.py` has the fields).
"""

import argparse
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console

from engine.contract.manifest import MANIFEST_FILE
from engine.model.config import ModelConfig
from engine.parallel.capacity.dimensions import read_dimensions
from engine.parallel.capacity.lengths import LengthDistribution
from engine.parallel.capacity.load import GroupLoad
from engine.parallel.processor.contention import measure_contention
from engine.parallel.processor.figures import CoreFigures, measure_core
from engine.parallel.processor.host import HostedTimes, HostFigures, measure_host
from engine.parallel.processor.reference import write_reference
from engine.parallel.processor.times import ProcessorTimes
from engine.parallel.simulation.costs import ServiceCosts
from engine.parallel.simulation.fleet import GroupTimes
from engine.parallel.simulation.report import SimulationReport
from engine.parallel.simulation.service import OfferedLoad, SimulatedService, simulate
from engine.runtime.batching.scheduler import Limits
from tests.benchmarks import SHORT_HELP
from tests.benchmarks.open_loop.arrivals import poisson
from tests.benchmarks.report.grid import Grid
from tests.benchmarks.simulator.pinned_groups import measured_run, pinned_groups
from tests.benchmarks.simulator.recorded_run import RecordedRun, read_runs, write_runs
from tests.benchmarks.speed.workload import BUILD, EXAMPLE
from tests.gpu.shapes import write_tokenizer

BOUND = 0.15
STORED = "int8"
SOURCE, TARGET = 28, 24
SHARES = (0.4, 0.7)
"""Of what the burst was answered at: the loads that come at random."""
_FREE = ServiceCosts(gateway=0.0, front=0.0)


def main() -> None:
    """Measures, simulates, prints both, and fails where they differ by more than 15 %."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path, help="runs that were measured already")
    parser.add_argument("--checkpoint", default=str(EXAMPLE), help="whose sizes they have")
    parser.add_argument("--short", action="store_true", help=SHORT_HELP)
    arguments = parser.parse_args()
    console, config = Console(), read_dimensions(arguments.checkpoint)
    with console.status("micro-figures"):
        measured = Measured.here(config)
    if arguments.runs:
        runs = read_runs(arguments.runs)
    else:
        texts = 200 if arguments.short else 1500
        with console.status("runs"):
            runs = list(_runs(config, texts))
        write_runs(runs, BUILD / "simulator-runs.json")
    compared = [Compared(run, measured.simulate(run)) for run in runs]
    console.print(_grid(compared).as_table())
    wrong = [one for one in compared if one.worst > BOUND]
    if wrong:
        raise SystemExit(f"{len(wrong)} of {len(compared)} runs differ by more than 15 %")


@dataclass(frozen=True)
class Measured:
    """What is known of this processor and the model."""

    config: ModelConfig
    core: CoreFigures
    host: HostFigures
    contention: float

    @classmethod
    def here(cls, config: ModelConfig) -> "Measured":
        """Measures it."""
        cores = min(2, len(os.sched_getaffinity(0)))
        return cls(config, measure_core(STORED), measure_host(), measure_contention(STORED, cores))

    def simulate(self, run: RecordedRun) -> SimulationReport:
        """The same texts at the same moments."""
        lengths = LengthDistribution.of_pairs(list(zip(run.sources, run.targets, strict=True)))
        contention = self.contention if run.groups > 1 else 1.0
        times = ProcessorTimes(self.config, STORED, self.core, contention)
        hosted = HostedTimes(times, self.host, lengths.target)
        group = GroupTimes.of(GroupLoad(hosted, Limits.max_rows, lengths))
        service = SimulatedService(group, lengths, 1, run.groups, 1, _FREE)
        load = OfferedLoad(0.0, 3 * run.seconds + 10, moments=tuple(run.moments))
        return simulate(service, load)


@dataclass(frozen=True)
class Compared:
    """A run, and its simulation."""

    run: RecordedRun
    report: SimulationReport

    @property
    def ratios(self) -> tuple[float, float, float]:
        """Simulated over measured: tokens a second, p50 and p95."""
        run, report = self.run, self.report
        return (
            report.tokens / run.tokens_per_second,
            report.whole_p50 / run.p50,
            report.whole_p95 / run.p95,
        )

    @property
    def worst(self) -> float:
        """How far the worst of these is from 1."""
        return max(abs(ratio - 1) for ratio in self.ratios)


def _runs(config: ModelConfig, texts: int) -> Iterator[RecordedRun]:
    lengths = _lengths(texts)
    with tempfile.TemporaryDirectory(prefix="seqway-groups-") as name:
        folder = Path(name)
        manifest = write_reference(folder, config, STORED)
        (folder / MANIFEST_FILE).write_text(manifest.to_json(), encoding="utf-8")
        write_tokenizer(folder, config.vocab_size)
        for count in (1, 2):
            with pinned_groups(folder, count) as groups:
                measured_run("warm-up", groups, [0.0] * 64, lengths[:64])
                burst = measured_run("burst", groups, [0.0] * texts, lengths)
                yield burst
                for share in SHARES:
                    rate = share * texts / burst.seconds
                    moments = poisson(rate, texts, seed=count)
                    yield measured_run(f"{share:.0%} at random", groups, moments, lengths)


def _lengths(count: int) -> list[tuple[int, int]]:
    """Log-normal, as `LengthDistribution.around` has them, in an order of chance."""
    chance, means = np.random.default_rng(11), LengthDistribution.around(SOURCE, TARGET)
    picked = chance.integers(0, means.sources.size, count)
    return [(round(means.sources[one]), round(means.targets[one])) for one in picked]


def _grid(compared: list[Compared]) -> Grid:
    header = ["run", "groups", "tokens/s", "p50, ms", "p95, ms", "worst"]
    rows = []
    for one in compared:
        run, report = one.run, one.report
        rows.append(
            [
                *(run.name, str(run.groups)),
                f"{report.tokens:,.0f} / {run.tokens_per_second:,.0f}",
                f"{1000 * report.whole_p50:.0f} / {1000 * run.p50:.0f}",
                f"{1000 * report.whole_p95:.0f} / {1000 * run.p95:.0f}",
                f"{one.worst:.0%}",
            ]
        )
    return Grid("simulated / measured", header, rows)


if __name__ == "__main__":
    main()
