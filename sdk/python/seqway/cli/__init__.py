"""The `seqway` command line: one file per command."""

import typer

from seqway.cli.models import models
from seqway.cli.translate import translate

app = typer.Typer(
    name="seqway",
    help="Translate text with a Seqway server.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(translate)
app.command()(models)
