"""A variant that groups serve, and ranks that obey tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.export.exporter import ExportJob, export
from engine.model.checkpoint import load_checkpoint
from engine.parallel.groups import process
from tests.engine.conftest import read_sources, write_pegasus
from tests.engine.parallel.groups import rank_twin
from tests.engine.parallel.groups.crew import Crew, open_crew


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a small variant."""
    root = tmp_path_factory.mktemp("served")
    checkpoint = load_checkpoint(write_pegasus(root / "checkpoint"))
    job = ExportJob(checkpoint, "served", ("en", "fr"), root / "repository", read_sources(8))
    (variant,) = export(job, ["fp32"])
    return variant / "1"


@pytest.fixture(scope="session")
def orders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where ranks look for what is to go wrong."""
    folder = tmp_path_factory.mktemp("orders")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(rank_twin.ORDERS, str(folder))
        patch.setattr(process, "MODULE", rank_twin.__name__)
        yield folder


@pytest.fixture(scope="module")
def running(served: Path, orders: Path) -> Iterator[Crew]:
    crew = open_crew(served, orders, "dp=2")
    yield crew
    crew.engine.stop()


@pytest.fixture
def pair(running: Crew) -> Iterator[Crew]:
    """Two groups of one rank that live, before the test and behind it."""
    yield running
    running.withdraw_all()
    running.wait_for_restarts(0)
