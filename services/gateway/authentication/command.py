"""The command `seqway-keys`: creates, lists, rotates and revokes API keys."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from pydantic import Field, SecretStr, ValidationError, field_validator
from rich.console import Console
from rich.table import Table

from services.foundation.environment import EnvironmentSettings, InvalidSettingsError, read_group
from services.gateway.authentication.keys import (
    LEAST_PEPPER,
    KeyFile,
    KeyFileError,
    KeyRecord,
    changing,
    new_key,
)
from services.gateway.authentication.scopes import ALL_SCOPES

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Creates, lists, rotates and revokes the API keys of a gateway. A running gateway reloads"
    " the file when it has changed.",
)

_UNITS = {"h": "hours", "d": "days", "w": "weeks"}

File = Annotated[
    Path,
    typer.Option("--file", envvar="SEQWAY_API_KEYS_FILE", help="The key file; created if missing."),
]
Prefix = Annotated[str, typer.Argument(help="The key's prefix, as `list` shows it.")]


class _KeySettings(EnvironmentSettings):
    api_key_pepper: SecretStr = Field(default=SecretStr(""), validate_default=True)

    @field_validator("api_key_pepper")
    @classmethod
    def _is_long(cls, pepper: SecretStr) -> SecretStr:
        if len(pepper.get_secret_value()) < LEAST_PEPPER:
            raise ValueError(f"must have {LEAST_PEPPER} characters or more")
        return pepper


@app.command()
def create(
    file: File,
    tenant: Annotated[str, typer.Option(help="The tenant of the key.")],
    name: Annotated[str, typer.Option(help="A note on what the key is for.")] = "",
    scope: Annotated[
        list[str] | None,
        typer.Option(
            help=f"A scope of the key; repeatable. One of {', '.join(sorted(ALL_SCOPES))}."
        ),
    ] = None,
    expires_in: Annotated[
        str, typer.Option(help="When the key expires: in 12h, 90d or 52w, or never.")
    ] = "90d",
) -> None:
    """Creates a key and prints it; it is not shown again."""
    with _failures(), changing(file) as known:
        scopes = scope or sorted(ALL_SCOPES)
        key, record = new_key(_pepper(), tenant, name, scopes, _end(expires_in))
        KeyFile(keys=(*known.keys, record)).write(file)
    typer.echo(key)


@app.command("list")
def list_keys(file: File) -> None:
    """Shows all keys, without their secrets."""
    with _failures():
        known = KeyFile.read(file)
    table = Table("prefix", "tenant", "name", "scopes", "created", "expires")
    now = datetime.now(UTC)
    for key in sorted(known.keys, key=lambda each: (each.tenant, each.created)):
        scopes = "all" if set(key.scopes) == ALL_SCOPES else " ".join(key.scopes)
        ends = f"{key.expires:%Y-%m-%d %H:%M}" if key.expires else "never"
        if key.is_expired(now):
            ends += " (expired)"
        table.add_row(key.prefix, key.tenant, key.name, scopes, f"{key.created:%Y-%m-%d}", ends)
    Console().print(table)


@app.command()
def rotate(
    file: File,
    prefix: Prefix,
    overlap: Annotated[str, typer.Option(help="How long the old key stays valid.")] = "7d",
    expires_in: Annotated[str, typer.Option(help="When the new key expires; or never.")] = "90d",
) -> None:
    """Creates a key for the same tenant with the same scopes, and lets the old one expire."""
    with _failures(), changing(file) as known:
        old = _find(known, prefix)
        key, record = new_key(_pepper(), old.tenant, old.name, old.scopes, _end(expires_in))
        ends = _end(overlap)
        if old.expires is not None and (ends is None or old.expires < ends):
            ends = old.expires
        kept = old.model_copy(update={"expires": ends})
        others = tuple(each for each in known.keys if each.prefix != prefix)
        KeyFile(keys=(*others, kept, record)).write(file)
    typer.echo(key)


@app.command()
def revoke(file: File, prefix: Prefix) -> None:
    """Removes a key: calls with it fail from now on."""
    with _failures(), changing(file) as known:
        _find(known, prefix)
        KeyFile(keys=tuple(each for each in known.keys if each.prefix != prefix)).write(file)
    typer.echo(f"{prefix} is revoked.")


def _find(known: KeyFile, prefix: str) -> KeyRecord:
    for key in known.keys:
        if key.prefix == prefix:
            return key
    raise KeyFileError(f"no key has the prefix {prefix!r}")


def _pepper() -> str:
    return read_group(_KeySettings).api_key_pepper.get_secret_value()


def _end(duration: str) -> datetime | None:
    """The moment so long from now; None is never."""
    if duration == "never":
        return None
    found = re.fullmatch(r"([1-9]\d{0,3})([hdw])", duration)
    if found is None:
        raise KeyFileError(f"{duration!r} is not a duration such as 12h, 90d, 52w, or never")
    now = datetime.now(UTC).replace(microsecond=0)
    return now + timedelta(**{_UNITS[found[2]]: int(found[1])})


@contextmanager
def _failures() -> Iterator[None]:
    try:
        yield
    except (KeyFileError, InvalidSettingsError) as error:
        message = str(error)
    except ValidationError as error:
        first = error.errors()[0]
        said = first["msg"].removeprefix("Value error, ")
        message = f"{'.'.join(map(str, first['loc']))}: {said}"
    else:
        return
    typer.echo(f"seqway-keys: {message}", err=True)
    raise typer.Exit(1)
