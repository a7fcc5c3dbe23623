"""`seqway jobs`: large batches, one file per command or two."""

import typer

from seqway.cli.jobs.changes import cancel, delete, resume
from seqway.cli.jobs.overview import list_jobs, show
from seqway.cli.jobs.records import errors, results
from seqway.cli.jobs.submit import submit
from seqway.cli.jobs.watch import watch

jobs = typer.Typer(
    name="jobs",
    help="Hand over large files, watch them, and read the results while they come.",
    no_args_is_help=True,
)
jobs.command()(submit)
jobs.command("list")(list_jobs)
for command in (show, watch, results, errors, cancel, resume, delete):
    jobs.command()(command)
