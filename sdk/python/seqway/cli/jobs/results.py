"""`seqway jobs results` and `seqway jobs errors`."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, TextIO

import typer

from seqway.cli.jobs.json_records import line_of
from seqway.cli.jobs.options import JobId
from seqway.cli.options.connection import ConnectionFlags
from seqway.cli.options.groups import with_flag_groups
from seqway.cli.output.failures import fail
from seqway.results import LineResult

Follow = Annotated[
    bool, typer.Option("--follow", help="Wait for the other results, until the job has ended.")
]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="New file to write to.")]


@with_flag_groups
def results(
    *,
    job: JobId,
    text: Annotated[
        bool,
        typer.Option(
            "--text",
            help="Only the text, the best label or the best answer: a line for each line, empty "
            "for one without; line breaks become spaces.",
        ),
    ] = False,
    follow: Follow = False,
    output: Output = None,
    connection: ConnectionFlags,
) -> None:
    """Print the results of a job in the order of its lines, as JSON Lines.

    While the job runs, prints those that exist.  --output creates its file once it is complete.

        seqway jobs results JOB --output results.jsonl
    """
    printed = 0
    with connection.client() as client, _opened(output) as file:
        found = client.jobs.get(job)
        for result in client.jobs.results(job, wait=follow):
            file.write((_plain(result) if text else line_of(result)) + "\n")
            printed += 1
        if printed < found.counts.total:
            typer.echo(
                f"seqway: {printed:,} of {found.counts.total:,} lines are done so far; "
                "--follow waits for the rest",
                err=True,
            )


@with_flag_groups
def errors(
    *,
    job: JobId,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON Lines.")] = False,
    follow: Follow = False,
    output: Output = None,
    connection: ConnectionFlags,
) -> None:
    """Print why lines of a job failed, were cancelled or expired; lines count from 1."""
    with connection.client() as client, _opened(output) as file:
        for result in client.jobs.results(job, which="errors", wait=follow):
            file.write((line_of(result) if as_json else _reason(result)) + "\n")


def _plain(result: LineResult) -> str:
    text = result.text
    if result.labels:
        text = result.labels[0].label
    elif result.answers:
        text = result.answers[0].text
    return " ".join(text.splitlines())


def _reason(result: LineResult) -> str:
    name = f" ({result.custom_id})" if result.custom_id else ""
    if result.error is None:
        return f"line {result.index + 1}{name}: {result.status.lower()}"
    return f"line {result.index + 1}{name}: {result.error.message} [{result.error.reason}]"


@contextmanager
def _opened(path: Path | None) -> Iterator[TextIO]:
    """Standard output, or a file that gets its name once it is complete."""
    if path is None:
        try:
            yield sys.stdout
            sys.stdout.flush()
        except BrokenPipeError:  # of `| head`
            sys.stderr.close()
            raise typer.Exit(0) from None
        return
    if path.exists():
        raise typer.BadParameter(f"{path} exists already", param_hint="--output")
    draft = path.with_name(f"{path.name}.part")
    try:
        with draft.open("w", encoding="utf-8") as file:
            yield file
        draft.rename(path)
    except OSError as error:
        fail(f"{path}: {error.strerror}")
    finally:
        draft.unlink(missing_ok=True)
