"""What the commands share: the console, and how a failure is told."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.console import Console

from engine.export.gates import GateError
from engine.export.importer import ImportRequestError
from engine.export.repository import RepositoryError
from engine.model.checkpoint import CheckpointError
from engine.runtime.batch import EngineError

console = Console()

EXPECTED = (CheckpointError, EngineError, GateError, ImportRequestError, RepositoryError)
"""What users do, and not we."""


def failure(reason: object) -> typer.Exit:
    """One sentence on stderr, and exit code 1."""
    Console(stderr=True).print(
        "[red]error:[/red]", str(reason), highlight=False, soft_wrap=True, markup=True
    )
    return typer.Exit(1)


@contextmanager
def stage(text: str) -> Iterator[None]:
    """Shows what is being done while it is, and that it is done and how long it took."""
    began = time.monotonic()
    with console.status(text):
        yield
    console.print(f"[green]done[/green] {text} ({time.monotonic() - began:.1f} s)")
