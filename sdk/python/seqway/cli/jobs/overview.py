"""`seqway jobs list` and `seqway jobs show`."""

import json
from itertools import islice
from typing import Annotated

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from seqway.cli.jobs.json_records import print_jobs
from seqway.cli.jobs.options import JobId, Labels, labels_of
from seqway.cli.jobs.words import state, when, when_shortly
from seqway.cli.options.connection import ConnectionFlags
from seqway.cli.options.groups import with_flag_groups
from seqway.cli.output.json_output import AsJson
from seqway.results import Job, JobState


@with_flag_groups
def list_jobs(
    *,
    states: Annotated[
        list[str] | None,
        typer.Option("--state", help="Only jobs in this state; repeatable.", metavar="STATE"),
    ] = None,
    task: Annotated[
        str,
        typer.Option(
            "--task",
            help="Only jobs of this task: translation, summarization, classification, "
            "question-answering.",
        ),
    ] = "",
    label: Labels = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="Most jobs to list.")] = 20,
    as_json: AsJson = False,
    connection: ConnectionFlags,
) -> None:
    """List your jobs, the newest first."""
    wanted = [_state_named(name) for name in states or ()]
    with connection.client() as client:
        found = list(
            islice(client.jobs.list(states=wanted, task=task, labels=labels_of(label)), limit + 1)
        )
    more, found = len(found) > limit, found[:limit]
    if as_json:
        print_jobs(found)
    elif found:
        Console().print(_table(found))
    else:
        typer.echo("No jobs match." if wanted or task or label else "No jobs.")
    if more:
        typer.echo(f"seqway: more than {limit} jobs match: raise --limit", err=True)


@with_flag_groups
def show(*, job: JobId, as_json: AsJson = False, connection: ConnectionFlags) -> None:
    """Show one job in full."""
    with connection.client() as client:
        found = client.jobs.get(job)
    if as_json:
        print_jobs(found)
    else:
        Console().print(_description(found))


def _state_named(name: str) -> JobState:
    try:
        return JobState[name.upper().replace("-", "_")]
    except KeyError:
        known = ", ".join(one.lower() for one in JobState if one is not JobState.UNSPECIFIED)
        raise typer.BadParameter(f"{name!r} is not one of {known}", param_hint="--state") from None


def _table(jobs: list[Job]) -> Table:
    """Fits 80 columns, and never shortens an id."""
    table = Table(box=SIMPLE)
    table.add_column("Job", no_wrap=True)
    table.add_column("State")
    table.add_column("Task", no_wrap=True)
    table.add_column("Done")
    table.add_column("Created", no_wrap=True)
    labelled = any(job.labels for job in jobs)
    if labelled:
        table.add_column("Labels", overflow="fold")
    for job in jobs:
        labels = [escape(_labels(job))] if labelled else []
        table.add_row(
            job.id, state(job), _task(job), _done(job), when_shortly(job.create_time), *labels
        )
    return table


def _done(job: Job) -> str:
    counts = job.counts
    failed = f" ({counts.failed:,} failed)" if counts.failed else ""
    return f"{counts.done:,}/{counts.total:,}{failed}"


def _description(job: Job) -> Table:
    counts = job.counts
    table = Table(box=SIMPLE, show_header=False)
    for title, value in (
        ("Job", job.id),
        ("State", state(job)),
        ("Task", _task(job)),
        ("Model", escape(job.model) or "the server's choice"),
        ("Options", escape(json.dumps(job.options)) if job.options else ""),
        ("Lines", f"{counts.total:,}"),
        ("  waiting or running", f"{counts.pending:,}"),
        ("  succeeded", f"{counts.succeeded:,}"),
        ("  failed", f"{counts.failed:,}"),
        ("  cancelled", f"{counts.cancelled:,}" if counts.cancelled else ""),
        ("  expired", f"{counts.expired:,}" if counts.expired else ""),
        ("Priority", job.priority.lower()),
        ("Labels", escape(_labels(job))),
        ("Request id", escape(job.request_id)),
        ("Run", str(job.run) if job.run > 1 else ""),
        ("Created", when(job.create_time)),
        ("Deadline", when(job.deadline)),
        ("Ended", when(job.end_time)),
        ("Kept until", when(job.delete_time)),
        ("Results in the store", escape(job.output_object)),
        ("Errors in the store", escape(job.error_object)),
    ):
        if value:
            table.add_row(title, value)
    return table


def _task(job: Job) -> str:
    if job.target_language:
        source = job.source_language or "auto"
        return escape(f"{job.task} {source}-{job.target_language}")
    return job.task


def _labels(job: Job) -> str:
    return ", ".join(f"{name}={value}" for name, value in sorted(job.labels.items()))
