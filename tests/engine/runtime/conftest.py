"""Variants together with the checkpoints that they were made of."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from engine.export.exporter import ExportJob, export
from engine.model.checkpoint import load_checkpoint
from tests.engine.conftest import read_sources

TRAINED = Path(__file__).parents[3] / "examples" / "checkpoints" / "en-fr"


@dataclass(frozen=True)
class Served:
    """A variant's folder and the checkpoint that it was made of."""

    folder: Path
    checkpoint: Path


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Served:
    """The example model: unlike random ones its answers end, and depend on their sources."""
    root = tmp_path_factory.mktemp("trained")
    job = ExportJob(load_checkpoint(TRAINED), "en-fr", ("en", "fr"), root, read_sources(8))
    export(job, ["fp32"])
    return Served(root / "en-fr_fp32" / "1", TRAINED)


@pytest.fixture(scope="session")
def untrained(repository: Path, checkpoints: dict[str, Path]) -> Served:
    """A random model: its probabilities are all alike, and its answers run in loops."""
    return Served(repository / "pegasus_fp32" / "1", checkpoints["pegasus"])
