"""The lines of a new job, with a progress bar for the upload of a large file."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from seqway.tasks.job_input import JobLines, is_uri

_SHOWN_BYTES = 4 * 2**20


@contextmanager
def opened(file: str) -> Iterator[JobLines]:
    """A file, standard input (-), or a URI as it is; `typer.BadParameter` when it can't be read."""
    if is_uri(file):
        yield file
        return
    if file == "-":
        yield sys.stdin.buffer
        return
    path = Path(file)
    try:
        size = path.stat().st_size
        lines: BinaryIO = path.open("rb")
    except OSError as error:
        raise typer.BadParameter(f"{file}: {error.strerror}", param_hint="FILE") from None
    with lines:
        if size < _SHOWN_BYTES or not sys.stderr.isatty():
            yield lines
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
            yield _ShownFile(progress.wrap_file(lines, size, description="Uploading"), progress)


class _ShownFile:
    """Takes the bar away when all is read, before anything else is printed."""

    def __init__(self, reader: BinaryIO, progress: Progress) -> None:
        self._reader = reader
        self._progress = progress

    def read(self, size: int) -> bytes:
        piece = self._reader.read(size)
        if not piece:
            self._progress.stop()
        return piece
