"""`make bench-plan`: the planner's step time beside the native session's.

The planner knows the processor by micro-figures of reference models. Here it predicts steps of
other shapes, of which none was measured before: the example, Marian base, and a gated T5.
"""

import argparse
import json
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import product
from typing import get_args

from rich.console import Console

from engine.model.config import ModelConfig
from engine.parallel.capacity.dimensions import read_dimensions
from engine.parallel.processor.probe import CoreProbe
from engine.parallel.processor.reference import Stored
from engine.parallel.processor.stopwatch import Stopwatch, stopwatch
from engine.parallel.processor.times import ProcessorTimes
from tests.benchmarks import SHORT_HELP
from tests.benchmarks.report.grid import Grid
from tests.benchmarks.speed.workload import BUILD, EXAMPLE

BOUND = 0.25
SHAPES = {
    "example": read_dimensions(str(EXAMPLE)),
    "marian-base": ModelConfig(vocab_size=32_001),
    "t5-small": ModelConfig(
        vocab_size=32_128,
        encoder_layers=8,
        decoder_layers=8,
        encoder_heads=6,
        decoder_heads=6,
        head_width=64,
        d_model=512,
        encoder_ffn=1024,
        decoder_ffn=1024,
        gated=True,
        activation="gelu_tanh",
        norm="pre",
        norm_kind="rms",
        positions="relative",
    ),
}
"""The last one is of Flan-T5-small's sizes."""
ROWS, SHORT_ROWS = (1, 4, 8, 16, 32, 64), (1, 16)
ROUNDS = 5
SOURCE, POSITION = 32, 24
TEXTS = 8


@dataclass(frozen=True, slots=True)
class Prediction:
    """Of a step with so many rows, or with 0 of the encoder; in seconds."""

    shape: str
    stored: str
    rows: int
    predicted: float
    measured: float

    @property
    def error(self) -> float:
        """By how much the prediction is too long, as a share of what was measured."""
        return self.predicted / self.measured - 1


def main() -> None:
    """Measures, prints a table, and fails where a step's prediction is off by more than 25 %."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help=SHORT_HELP)
    short = parser.parse_args().short
    rows, rounds = (SHORT_ROWS, 1) if short else (ROWS, ROUNDS)
    console = Console()
    kinds: tuple[Stored, ...] = get_args(Stored)
    found = [one for stored in kinds for one in _predictions(stored, rows, rounds, console)]
    BUILD.mkdir(parents=True, exist_ok=True)
    fields = [
        {"shape": one.shape, "stored": one.stored, "rows": one.rows, "error": one.error}
        for one in found
    ]
    (BUILD / "bench-step-time.json").write_text(json.dumps(fields, indent=2), encoding="utf-8")
    for grid in _grids(found):
        console.print(grid.as_table())
    wrong = [one for one in found if one.rows and abs(one.error) > BOUND]
    if wrong and not short:
        raise SystemExit(f"{len(wrong)} of {len(found)} predictions are off by more than 25 %")


def _predictions(
    stored: Stored, rows: tuple[int, ...], rounds: int, console: Console
) -> list[Prediction]:
    """Micro-figures and steps in turn, of which each round's least seconds count."""
    least: dict[tuple[str, int], float] = {}
    with CoreProbe(stored) as probe, ExitStack() as models:
        timed = {name: models.enter_context(stopwatch(SHAPES[name], stored)) for name in SHAPES}
        for number in range(rounds):
            with console.status(f"{stored}: round {number + 1} of {rounds}"):
                figures = probe.figures()
                for name, count in product(SHAPES, (*rows, 0)):
                    seconds = _measured(timed[name], count)
                    least[name, count] = min(seconds, least.get((name, count), seconds))
    predictions = []
    for (name, count), measured in least.items():
        predicted = _predicted(ProcessorTimes(SHAPES[name], stored, figures), count)
        predictions.append(Prediction(name, stored, count, predicted, measured))
    return predictions


def _measured(timed: Stopwatch, rows: int) -> float:
    if rows:
        return timed.step_seconds(rows, SOURCE, POSITION)
    return timed.encoder_seconds(TEXTS, SOURCE)


def _predicted(times: ProcessorTimes, rows: int) -> float:
    if rows:
        return times.step_seconds(rows, SOURCE, POSITION)
    return times.encoder_seconds(TEXTS, SOURCE)


def _grids(found: list[Prediction]) -> list[Grid]:
    rows = list(dict.fromkeys(one.rows for one in found))
    names = [f"{count} rows" if count else f"{TEXTS} texts encoded" for count in rows]
    cells: dict[str, list[str]] = {}
    for one in found:
        text = f"{1000 * one.predicted:.2f} / {1000 * one.measured:.2f} ({one.error:+.0%})"
        cells.setdefault(f"{one.shape} {one.stored}", []).append(text)
    lines = [[name, *values] for name, values in cells.items()]
    return [Grid("a decoder step: predicted / measured, ms", ["", *names], lines)]


if __name__ == "__main__":
    main()
