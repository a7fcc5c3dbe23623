"""`seqway jobs`: batch jobs over large files."""

import typer

from seqway.cli.jobs.changes import cancel, delete, resume
from seqway.cli.jobs.overview import list_jobs, show
from seqway.cli.jobs.results import errors, results
from seqway.cli.jobs.tasks import ask, classify, summarize, translate
from seqway.cli.jobs.watch import watch

jobs = typer.Typer(
    name="jobs",
    help="Submit large files as batch jobs, watch them, and read their results.",
    no_args_is_help=True,
)
for command in (translate, summarize, classify, ask):
    jobs.command(rich_help_panel="New jobs")(command)
jobs.command("list", rich_help_panel="Jobs")(list_jobs)
for command in (show, watch, results, errors, cancel, resume, delete):
    jobs.command(rich_help_panel="Jobs")(command)
