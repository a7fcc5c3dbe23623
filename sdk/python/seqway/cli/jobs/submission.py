"""The options that new jobs share, and how they are submitted."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from seqway.arguments import JobArguments
from seqway.cli.jobs.options import Deadline, Labels, Watched, duration, labels_of
from seqway.cli.jobs.progress import follow
from seqway.cli.jobs.upload import opened
from seqway.cli.options.connection import ConnectionFlags
from seqway.errors import InvalidRequestError
from seqway.results import Job
from seqway.sync.jobs import Jobs
from seqway.tasks.job_input import JobCompression, JobFormat, JobLines, format_of, is_uri

LinesFile = Annotated[
    str,
    typer.Argument(
        metavar="FILE",
        help='JSON Lines (objects with "text" and optionally "custom_id"), CSV or TSV with a line '
        "of column names, plain text (.txt, one text a line) or Parquet; plain or in gzip or zstd. "
        "- is standard input; a URI (file://, s3://, gs://) is read by the server.",
        show_default=False,
    ),
]


def _job(*names: str, text: str, **limits: Any) -> Any:
    return typer.Option(*names, help=text, rich_help_panel="Job", **limits)


def _input(*names: str, text: str, **limits: Any) -> Any:
    return typer.Option(*names, help=text, rich_help_panel="Input", **limits)


@dataclass(frozen=True)
class SubmissionFlags:
    """How a job is handled, and how its lines are read."""

    label: Labels = None
    priority: Annotated[
        Literal["low", "normal", "high"], _job("--priority", text="Which of your jobs goes first.")
    ] = "normal"
    deadline: Deadline = None
    retention: Annotated[
        str | None,
        _job(
            "--retention",
            metavar="DURATION",
            text="How long the job is kept after its end, such as 7d.",
        ),
    ] = None
    request_id: Annotated[
        str,
        _job("--request-id", metavar="ID", text="Idempotency key: one id creates one job."),
    ] = ""
    watch: Watched = False
    input_format: Annotated[
        JobFormat | None,
        _input("--input-format", text="Format of the lines; by default by the file's name."),
    ] = None
    compression: Annotated[
        JobCompression | None, _input("--compression", text="By default by the first bytes.")
    ] = None
    text_field: Annotated[str, _input("--text-field", text="Member or column of the text.")] = (
        "text"
    )
    id_field: Annotated[
        str, _input("--id-field", text="Member or column of the line's own id; may be missing.")
    ] = "custom_id"

    def arguments(self, file: str) -> JobArguments:
        """As the client takes them; `typer.BadParameter` for what can't be read."""
        return {
            "request_id": self.request_id,
            "labels": labels_of(self.label),
            "priority": self.priority,
            "deadline": duration(self.deadline, "--deadline"),
            "retention": duration(self.retention, "--retention"),
            "format": self.input_format or _format_of(file),
            "compression": self.compression,
            "text_field": self.text_field,
            "custom_id_field": self.id_field,
        }


def submit(
    connection: ConnectionFlags,
    file: str,
    submission: SubmissionFlags,
    create: Callable[[Jobs, JobLines, JobArguments], Job],
) -> None:
    """Uploads the lines and prints the job's id; with --watch, shows the job until it has ended."""
    shared = submission.arguments(file)
    with connection.client() as client, opened(file) as lines:
        job = create(client.jobs, lines, shared)
        typer.echo(job.id)
        if submission.watch:
            follow(client, job)
        else:
            typer.echo(
                f"seqway: {job.counts.total:,} lines; `seqway jobs watch {job.id}` shows the "
                "progress",
                err=True,
            )


def _format_of(file: str) -> JobFormat | None:
    """By the name; the server looks at a URI itself.  `typer.BadParameter` for one without."""
    if file == "-" or is_uri(file):
        return None
    try:
        return format_of(Path(file))
    except InvalidRequestError as error:
        raise typer.BadParameter(
            error.message.partition(": ")[2], param_hint="--input-format"
        ) from None
