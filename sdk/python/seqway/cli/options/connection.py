"""Where the server is: options that every command has."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated

import typer

from seqway.cli.output.failures import friendly_failures
from seqway.sync.client import Client
from seqway.transport.channel_options import ADDRESS_VARIABLE, DEFAULT_ADDRESS
from seqway.transport.security import (
    API_KEY_VARIABLE,
    CA_VARIABLE,
    CERTIFICATE_VARIABLE,
    KEY_VARIABLE,
    TENANT_VARIABLE,
    TlsFiles,
)

_PANEL = "Connection"


@dataclass(frozen=True)
class ConnectionFlags:
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
    tls_ca: Annotated[
        str,
        typer.Option(
            "--tls-ca",
            envvar=CA_VARIABLE,
            help="PEM file of the authorities to trust; by default those of the machine.",
            rich_help_panel=_PANEL,
        ),
    ] = ""
    tls_certificate: Annotated[
        str,
        typer.Option(
            "--tls-certificate",
            envvar=CERTIFICATE_VARIABLE,
            help="PEM file of the certificate to show to the server.",
            rich_help_panel=_PANEL,
        ),
    ] = ""
    tls_key: Annotated[
        str,
        typer.Option(
            "--tls-key", envvar=KEY_VARIABLE, help="PEM file of its key.", rich_help_panel=_PANEL
        ),
    ] = ""
    api_key: Annotated[
        str,
        typer.Option(
            "--api-key",
            envvar=API_KEY_VARIABLE,
            help="Who calls. Better in the variable, which other users of the machine do not see.",
            show_default=False,
            rich_help_panel=_PANEL,
        ),
    ] = ""
    allow_plaintext_key: Annotated[
        bool,
        typer.Option(
            "--allow-plaintext-key",
            help="Send the API key over a network without TLS, where others can read it.",
            rich_help_panel=_PANEL,
        ),
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
        with friendly_failures(self.address), self._open() as client:
            yield client

    def _open(self) -> Client:
        files = TlsFiles(self.tls_ca or None, self.tls_certificate or None, self.tls_key or None)
        try:
            return Client(
                self.address,
                tls=files if files != TlsFiles() else self.tls,
                timeout=self.timeout,
                tenant=self.tenant,
                api_key=self.api_key,
                allow_plaintext_key=self.allow_plaintext_key,
            )
        except OSError as error:
            raise typer.BadParameter(f"{error.filename}: {error.strerror}") from None
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None
