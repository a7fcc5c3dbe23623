"""`make bench-plan`: the planner's step time beside the native session's.

The planner knows the processor by micro-figures of reference models. Here it predicts steps of
other shapes, of which none was measured before: the example, Marian base, and a gated T5.
"""

import argparse
import json
from dataclasses import dataclass

from rich.console import Console

from engine.model.config import ModelConfig
from engine.parallel.capacity.dimensions import read_dimensions
from engine.parallel.processor.figures import measure_core
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
    rows = SHORT_ROWS if short else ROWS
    console = Console()
    found = [one for stored in ("int8", "fp32") for one in _predictions(stored, rows, console)]
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


def _predictions(stored: Stored, rows: tuple[int, ...], console: Console) -> list[Prediction]:
    with console.status(f"{stored}: micro-figures"):
        figures = measure_core(stored)
    found = []
    for name, config in SHAPES.items():
        times = ProcessorTimes(config, stored, figures)
        with console.status(f"{stored}: {name}"), stopwatch(config, stored) as timed:
            for count in rows:
                predicted = times.step_seconds(count, SOURCE, POSITION)
                measured = timed.step_seconds(count, SOURCE, POSITION)
                found.append(Prediction(name, stored, count, predicted, measured))
            found.append(_encoder(name, stored, times, timed))
    return found


def _encoder(name: str, stored: str, times: ProcessorTimes, timed: Stopwatch) -> Prediction:
    predicted = times.encoder_seconds(TEXTS, SOURCE)
    return Prediction(name, stored, 0, predicted, timed.encoder_seconds(TEXTS, SOURCE))


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
