"""The progress of a job on stderr: a bar for people, lines for logs."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from seqway.cli.jobs.words import outcome
from seqway.cli.output.failures import fail
from seqway.results import Job, JobState
from seqway.sync.client import Client

_LINE_SECONDS = 5.0


class _Rate(ProgressColumn):
    """Items per second, over the last half minute or so."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f} items/s", style="progress.data.speed")


class _Display(Protocol):
    def show(self, job: Job) -> None: ...


class _ProgressBar:
    def __init__(self, progress: Progress, job: Job) -> None:
        self._progress = progress
        self._task: TaskID = progress.add_task(
            "", total=job.counts.total, completed=job.counts.done, failed=0, state=""
        )

    def show(self, job: Job) -> None:
        counts = job.counts
        self._progress.update(
            self._task,
            completed=counts.done,
            description=job.state.lower().replace("_", " "),
            counts=f"{counts.done:,}/{counts.total:,}",
            failed=f"{counts.failed:,} failed",
        )


class _ProgressLines:
    """At most one line every few seconds, and the last one."""

    def __init__(self, job: Job) -> None:
        self._began = time.monotonic()
        self._first = job.counts.done
        self._told = 0.0

    def show(self, job: Job) -> None:
        now = time.monotonic()
        if now - self._told < _LINE_SECONDS and not job.state.ended:
            return
        self._told = now
        counts, seconds = job.counts, now - self._began
        rate = f", {(counts.done - self._first) / seconds:,.0f} items/s" if seconds > 1 else ""
        typer.echo(
            f"seqway: {job.state.lower()}: {counts.done:,} of {counts.total:,} done, "
            f"{counts.failed:,} failed{rate}",
            err=True,
        )


def follow(client: Client, job: Job) -> None:
    """Shows the job until it has ended; exit code 1 unless every line succeeded.

    An interrupt leaves the job alone.
    """
    try:
        with _display(job) as display:
            display.show(job)
            for latest in client.jobs.watch(job.id):
                job = latest
                display.show(job)
    except KeyboardInterrupt:
        typer.echo(
            f"seqway: the job continues; `seqway jobs watch {job.id}` shows it, "
            f"`seqway jobs cancel {job.id}` ends it",
            err=True,
        )
        raise typer.Exit(130) from None
    if job.state is JobState.SUCCEEDED:
        typer.echo(f"seqway: {outcome(job)}", err=True)
    else:
        fail(outcome(job))


@contextmanager
def _display(job: Job) -> Iterator[_Display]:
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _ProgressLines(job)
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[counts]}"),
        TextColumn("{task.fields[failed]}"),
        _Rate(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        yield _ProgressBar(progress, job)
