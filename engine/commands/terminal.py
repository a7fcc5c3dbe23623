"""What the commands share: the console, and how a failure is told."""

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import typer
from rich.console import Console
from rich.markup import escape

from engine.export.gates.transformer import GateError
from engine.export.importer import ImportRequestError
from engine.export.repository import RepositoryError
from engine.export.text_files import TextFileError
from engine.model.checkpoint import CheckpointError
from engine.native.library import NativeError
from engine.native.weights import WeightsError
from engine.parallel.capacity.errors import CapacityError
from engine.runtime.batch import EngineError
from engine.runtime.sessions.onnx_graphs import GraphError
from engine.runtime.sessions.tensorrt.plan import PlanError

console = Console()

EXPECTED = (
    CapacityError,
    CheckpointError,
    EngineError,
    GateError,
    GraphError,
    NativeError,
    WeightsError,
    ImportRequestError,
    PlanError,
    RepositoryError,
    TextFileError,
)
"""What users do, and not we."""


def failure(reason: object) -> typer.Exit:
    """One sentence on stderr, and exit code 1."""
    sentence = " ".join(str(reason).split())
    Console(stderr=True).print(
        f"[red]error:[/red] {escape(sentence)}", highlight=False, soft_wrap=True
    )
    return typer.Exit(1)


@contextmanager
def stage(text: str) -> Iterator[None]:
    """Shows what is being done while it is, and that it is done and how long it took."""
    began = time.monotonic()
    with console.status(text):
        yield
    console.print(f"[green]done[/green] {text} ({time.monotonic() - began:.1f} s)")


@contextmanager
def stoppable() -> Iterator[None]:
    """Has SIGTERM and SIGHUP end the work as Ctrl-C does: what was begun is cleaned up."""

    def stop(number: int, _frame: FrameType | None) -> None:
        sys.exit(128 + number)

    numbers = [signal.SIGTERM, signal.SIGHUP]
    # A signal that is ignored stays so: nohup does that.
    before = {n: signal.signal(n, stop) for n in numbers if signal.getsignal(n) != signal.SIG_IGN}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
