"""`seqway status`."""

import dataclasses
import json
import time
from typing import Annotated

import typer
from rich.box import SIMPLE
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from seqway.cli.commands.server_state import MOST_JOBS, Standing, standing_of
from seqway.cli.options.connection import ConnectionFlags
from seqway.cli.options.groups import with_flag_groups
from seqway.cli.output.failures import describe, fail
from seqway.cli.output.json_output import AsJson
from seqway.errors import SeqwayError
from seqway.sync.client import Client

_SECONDS = 2.0


@with_flag_groups
def status(
    *,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Refresh every 2 seconds, until Ctrl-C.")
    ] = False,
    as_json: AsJson = False,
    connection: ConnectionFlags,
) -> None:
    """Show whether the server serves, its models, and your jobs by state.

    Exit code 0 when the server serves, else 1.
    """
    with connection.client() as client:
        if watch:
            _watch(client, as_json=as_json)
            return
        standing = standing_of(client)
    if as_json:
        typer.echo(_json(standing, indent=2))
    else:
        Console().print(_page(standing))
    if not standing.serving:
        fail(f"the server at {standing.address} does not serve")


def _watch(client: Client, *, as_json: bool) -> None:
    """A server that does not answer is shown as such, and polled again."""
    if as_json:
        _watch_lines(client)
    with Live(auto_refresh=False, console=Console()) as live:
        while True:
            try:
                page = _page(standing_of(client))
            except SeqwayError as error:
                page = Text(describe(error, client.address), style="red")
            live.update(page, refresh=True)
            time.sleep(_SECONDS)


def _watch_lines(client: Client) -> None:
    """A line of JSON for each look."""
    while True:
        try:
            typer.echo(_json(standing_of(client)))
        except SeqwayError as error:
            typer.echo(json.dumps({"address": client.address, "problem": error.message}))
        time.sleep(_SECONDS)


def _json(standing: Standing, indent: int | None = None) -> str:
    return json.dumps(dataclasses.asdict(standing), ensure_ascii=False, indent=indent)


def _page(standing: Standing) -> RenderableType:
    state = _word(standing.serving, "serves", "does not serve")
    parts: list[RenderableType] = [Text.from_markup(f"{escape(standing.address)} {state}")]
    parts += [_services(standing), _models(standing)]
    if standing.jobs is not None:
        parts.append(_jobs(standing))
    if standing.problem:
        parts.append(Text(f"Jobs: {standing.problem}", style="red"))
    return Group(*parts)


def _services(standing: Standing) -> Table:
    table = Table("Service", "State", box=SIMPLE)
    for name, serves in standing.services.items():
        table.add_row(name, _word(serves, "serves", "no model ready"))
    return table


def _models(standing: Standing) -> Table:
    """The variants of a model in one line, each with its state."""
    table = Table("Model", "Task", "Variants", box=SIMPLE)
    tasks = {model.base_model: model.task for model in standing.models}
    for base, task in tasks.items():
        variants = [
            _word(one.ready, variant := one.precision or one.name, f"{variant} not ready")
            for one in standing.models
            if one.base_model == base
        ]
        table.add_row(escape(base), task, ", ".join(variants))
    if not tasks:
        table.add_row("none", "", "")
    return table


def _jobs(standing: Standing) -> Table:
    newest = f" (of the newest {MOST_JOBS:,})" if standing.more_jobs else ""
    table = Table("Jobs", f"Number{newest}", box=SIMPLE)
    for state, count in sorted((standing.jobs or {}).items()):
        table.add_row(state.replace("_", " "), f"{count:,}")
    if not standing.jobs:
        table.add_row("none", "")
    return table


def _word(good: bool, yes: str, no: str) -> str:
    return f"[green]{escape(yes)}[/green]" if good else f"[red]{escape(no)}[/red]"
