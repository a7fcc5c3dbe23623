"""`seqway models`."""

import dataclasses
import json
from typing import Annotated

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from seqway.cli.connection import DEFAULT_ADDRESS, Address, Timeout, Tls
from seqway.cli.failures import friendly_failures
from seqway.client import Client
from seqway.results import Model


def models(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    address: Address = DEFAULT_ADDRESS,
    timeout: Timeout = 20.0,
    tls: Tls = False,
) -> None:
    """List the models that the server holds."""
    with friendly_failures(address), Client(address, tls=tls, timeout=timeout) as client:
        found = client.list_models()
    if as_json:
        documents = [dataclasses.asdict(model) for model in found]
        typer.echo(json.dumps(documents, ensure_ascii=False, indent=2))
    elif found:
        Console().print(_table(found))
    else:
        typer.echo(f"The server at {address} serves no model.")


def _table(found: list[Model]) -> Table:
    table = Table(box=SIMPLE)
    for title in ("Model", "Task", "Languages", "Tokens in/out", "Quality", "State"):
        table.add_column(title, no_wrap=title in ("Model", "State"))
    for model in found:
        table.add_row(
            model.name,
            model.task,
            ", ".join(map(str, model.language_pairs)),
            f"{model.max_source_tokens} / {model.max_target_tokens}",
            ", ".join(f"{name} {value:.1f}" for name, value in sorted(model.quality.items())),
            "[green]ready[/green]" if model.ready else "[red]not ready[/red]",
        )
    return table
