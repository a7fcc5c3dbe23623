"""The `seqway` command line: one file per command."""

import typer

from seqway.cli.commands.ask import ask
from seqway.cli.commands.classify import classify
from seqway.cli.commands.detect import detect
from seqway.cli.commands.models import models
from seqway.cli.commands.status import status
from seqway.cli.commands.summarize import summarize
from seqway.cli.commands.translate import translate
from seqway.cli.jobs import jobs

app = typer.Typer(
    name="seqway",
    help="Translate, summarize, classify and query text with a Seqway server.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (translate, detect, summarize, classify, ask, models, status):
    app.command()(command)
app.add_typer(jobs)
