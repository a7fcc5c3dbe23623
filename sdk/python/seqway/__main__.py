"""`python -m seqway`: the command line."""

from seqway.cli import app

app(prog_name="seqway")
