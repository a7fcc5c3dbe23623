"""Where the server is: options that every command has."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any

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


def _flag(*names: str, text: str, **more: Any) -> Any:
    return typer.Option(*names, help=text, rich_help_panel="Connection", **more)


@dataclass(frozen=True)
class ConnectionFlags:
    """The server, and how long to wait for it."""

    address: Annotated[
        str,
        _flag("--address", "-a", envvar=ADDRESS_VARIABLE, text="Address of the server, host:port."),
    ] = DEFAULT_ADDRESS
    timeout: Annotated[
        float, _flag("--timeout", min=0.001, text="Timeout of each call, in seconds.")
    ] = 120.0
    tls: Annotated[bool, _flag("--tls", text="Encrypt the connection with TLS.")] = False
    tls_ca: Annotated[
        str,
        _flag(
            "--tls-ca",
            envvar=CA_VARIABLE,
            text="PEM file of the authorities to trust; by default those of this machine.",
        ),
    ] = ""
    tls_certificate: Annotated[
        str,
        _flag(
            "--tls-certificate",
            envvar=CERTIFICATE_VARIABLE,
            text="PEM file of the certificate to show to the server.",
        ),
    ] = ""
    tls_key: Annotated[
        str, _flag("--tls-key", envvar=KEY_VARIABLE, text="PEM file of the certificate's key.")
    ] = ""
    api_key: Annotated[
        str,
        _flag(
            "--api-key",
            envvar=API_KEY_VARIABLE,
            text="API key. Prefer the variable: other users of this machine can see options.",
            show_default=False,
        ),
    ] = ""
    allow_plaintext_key: Annotated[
        bool,
        _flag(
            "--allow-plaintext-key",
            text="Send the API key over a network without TLS, where others can read it.",
        ),
    ] = False
    tenant: Annotated[
        str,
        _flag(
            "--tenant",
            envvar=TENANT_VARIABLE,
            text="Tenant whose jobs to work on; by default the server's default tenant.",
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
