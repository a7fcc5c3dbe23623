"""Where the server is: options that every command has."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated

import typer

from seqway.channel import ADDRESS_VARIABLE, DEFAULT_ADDRESS, TENANT_VARIABLE
from seqway.cli.failures import friendly_failures
from seqway.client import Client

_PANEL = "Connection"


@dataclass(frozen=True)
class Connection:
    """The server, and how long to wait for it."""

    address: Annotated[
        str,
        typer.Option(
            "--address",
            "-a",
            envvar=ADDRESS_VARIABLE,
            help="Where the server listens, host:port.",
            rich_help_panel=_PANEL,
        ),
    ] = DEFAULT_ADDRESS
    timeout: Annotated[
        float,
        typer.Option(
            "--timeout",
            min=0.001,
            help="Give up after so many seconds.",
            rich_help_panel=_PANEL,
        ),
    ] = 120.0
    tls: Annotated[
        bool,
        typer.Option("--tls", help="Encrypt the connection with TLS.", rich_help_panel=_PANEL),
    ] = False

    tenant: Annotated[
        str,
        typer.Option(
            "--tenant",
            envvar=TENANT_VARIABLE,
            help="Whose jobs to work on; by default the server's default tenant.",
            rich_help_panel=_PANEL,
        ),
    ] = ""

    @contextmanager
    def client(self) -> Iterator[Client]:
        """A client; failures of its calls end the command with a line on stderr."""
        with (
            friendly_failures(self.address),
            Client(self.address, tls=self.tls, timeout=self.timeout, tenant=self.tenant) as client,
        ):
            yield client
