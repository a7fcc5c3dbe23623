"""`seqway models`."""

from collections.abc import Mapping
from typing import Annotated

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from seqway.cli.options.connection import ConnectionFlags
from seqway.cli.options.groups import with_flag_groups
from seqway.cli.output.json_output import AsJson, print_json
from seqway.results import Model

_MOST_SHOWN = 4


@with_flag_groups
def models(
    *,
    name: Annotated[str | None, typer.Argument(help="One variant, in full.")] = None,
    as_json: AsJson = False,
    connection: ConnectionFlags,
) -> None:
    """List the server's models, or describe one."""
    with connection.client() as client:
        found = client.list_models() if name is None else [client.get_model(name)]
    if as_json:
        print_json(found if name is None else found[0])
    elif name is not None:
        Console().print(_description(found[0]))
    elif found:
        Console().print(_table(found))
    else:
        typer.echo(f"The server at {connection.address} serves no model.")


def _table(found: list[Model]) -> Table:
    table = Table(box=SIMPLE)
    for title in ("Model", "Task", "Languages or labels", "Tokens in/out", "Quality", "State"):
        table.add_column(title, no_wrap=title in ("Model", "Task", "State"))
    for model in found:
        table.add_row(
            model.name,
            model.task,
            escape(_scope(model, _MOST_SHOWN)),
            _limits(model),
            _values(model.quality),
            _state(model),
        )
    return table


def _description(model: Model) -> Table:
    table = Table(box=SIMPLE, show_header=False)
    for title, value in (
        ("Model", model.name),
        ("Task", model.task),
        ("Labels" if model.labels else "Languages", escape(_scope(model, None))),
        ("Several labels at once", "yes" if model.multi_label else ""),
        ("Tokens in/out", _limits(model)),
        ("Generation defaults", _values(model.generation_defaults)),
        ("Quality", _values(model.quality)),
        ("Family", model.family),
        ("Weights (SHA-256)", model.checkpoint_sha256),
        ("State", _state(model)),
    ):
        if value:
            table.add_row(title, value)
    return table


def _scope(model: Model, most: int | None) -> str:
    """Its languages or labels: the first `most` of a list, and how many more."""
    if model.labels:
        return _shortened(model.labels, most)
    if model.language_pairs:
        return _shortened([str(pair) for pair in model.language_pairs], most)
    if model.source_languages:
        sources = _shortened(model.source_languages, most)
        return f"{sources} → {_shortened(model.target_languages, most)}"
    return ""


def _shortened(names: list[str] | tuple[str, ...], most: int | None) -> str:
    shown = names[:most]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _limits(model: Model) -> str:
    """A classifier makes no tokens."""
    made = f" / {model.max_target_tokens}" if model.max_target_tokens else ""
    return f"{model.max_source_tokens}{made}"


def _values(values: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in sorted(values.items()))


def _state(model: Model) -> str:
    return "[green]ready[/green]" if model.ready else "[red]not ready[/red]"
