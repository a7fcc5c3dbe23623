"""The checkpoint that a part measures, and how much of it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from rich.console import Console

from engine.export.exporter import ExportJob, export
from engine.model.checkpoint import load_checkpoint
from tests.benchmarks.report.grid import Grid
from tests.benchmarks.speed.workload import BUILD, sentences
from tests.benchmarks.systems.ctranslate2_translator import convert_to_ctranslate2

TRAINED = "en-fr"


@dataclass(frozen=True, slots=True)
class Scale:
    """How many rounds, or the short form."""

    rounds: int
    short: bool
    in_flight: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Subject:
    """A checkpoint, our INT8 variant of it in a repository of its own, and CTranslate2's."""

    name: str
    checkpoint: Path
    repository: Path
    variant: Path
    converted: Path
    scale: Scale
    console: Console

    @property
    def is_trained(self) -> bool:
        """Whether its answers make sense, and end by themselves."""
        return self.name == TRAINED

    @property
    def model(self) -> str:
        """The variant's name."""
        return self.variant.parent.name


@dataclass(frozen=True, slots=True)
class PartResult:
    """What a part found: figures for JSON, tables, and a plot."""

    figures: dict[str, Any]
    grids: list[Grid]
    plot: Figure | None = None


def prepare(name: str, checkpoint: Path, scale: Scale, console: Console) -> Subject:
    """Exports and converts the checkpoint."""
    repository = BUILD / "repository" / name
    calibration = [pair.source for pair in sentences()[:64]]
    job = ExportJob(load_checkpoint(checkpoint), name, ("en", "fr"), repository, calibration)
    (variant,) = export(job, ["int8"])
    converted = convert_to_ctranslate2(checkpoint, BUILD / "ctranslate2" / name)
    return Subject(name, checkpoint, repository, variant / "1", converted, scale, console)
