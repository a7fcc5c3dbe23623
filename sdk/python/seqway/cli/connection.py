"""The options that every command has, and the client that they describe."""

from typing import Annotated

import typer

from seqway.channel import ADDRESS_VARIABLE, DEFAULT_ADDRESS

Address = Annotated[
    str,
    typer.Option(
        "--address",
        "-a",
        envvar=ADDRESS_VARIABLE,
        help="Where the server listens, host:port.",
        rich_help_panel="Connection",
    ),
]
Timeout = Annotated[
    float,
    typer.Option(
        "--timeout",
        min=0.001,
        help="Give up after so many seconds.",
        rich_help_panel="Connection",
    ),
]
Tls = Annotated[
    bool,
    typer.Option("--tls", help="Encrypt the connection with TLS.", rich_help_panel="Connection"),
]

__all__ = ["DEFAULT_ADDRESS", "Address", "Timeout", "Tls"]
