"""`seqway jobs`: large batches, one file per command or two."""

import typer

from seqway.cli.jobs.changing import cancel, delete, resume
from seqway.cli.jobs.listing import list_jobs, show
from seqway.cli.jobs.reading import errors, results
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
