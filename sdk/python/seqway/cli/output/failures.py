"""Failures as one line on stderr that says what to do."""

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from seqway.errors import (
    AuthenticationError,
    DeadlineError,
    InvalidRequestError,
    NotFoundError,
    OverloadedError,
    SeqwayError,
    UnavailableError,
)

_ADVICE = {
    "UNKNOWN_JOB": ". `seqway jobs list` shows yours; --tenant names another's.",
    "REQUEST_ID_CONFLICT": ". Take another --request-id for another job.",
    "JOB_STATE": ". `seqway jobs show JOB` tells how it stands.",
    "QUEUE_UNAVAILABLE": ". Try again in a moment.",
    "STORE_UNAVAILABLE": ". Try again in a moment.",
    "UNIMPLEMENTED": ". The server takes no such calls; batch jobs need SEQWAY_JOB_STORE there.",
}


@contextmanager
def friendly_failures(address: str) -> Iterator[None]:
    """Turns a `SeqwayError` of the block into a line on stderr and exit code 1.

    Bytes of an argument that are no UTF-8 stand in it as lone surrogates (PEP 383), which no
    message can hold: that is wrong usage, exit code 2.
    """
    try:
        yield
    except SeqwayError as error:
        fail(describe(error, address))
    except UnicodeEncodeError as error:
        if error.encoding != "utf-8":  # standard output of another encoding
            raise
        raise typer.BadParameter("an argument is not UTF-8 text") from None


def fail(message: str) -> None:
    """Prints the line and leaves with exit code 1."""
    typer.echo(f"seqway: {' '.join(message.split())}", err=True)
    raise typer.Exit(1)


def describe(error: SeqwayError, address: str) -> str:
    """What happened, and what helps."""
    return f"{_what(error).rstrip('.')} [{error.reason}]{_advice(error, address)}"


def _what(error: SeqwayError) -> str:
    said = "; ".join(
        f"{one.field}: {one.description}" for one in error.violations if one.description
    )
    if isinstance(error, UnavailableError) and not error.domain:
        return "no answer"  # the message would be about gRPC's sockets
    return said or error.message


def _advice(error: SeqwayError, address: str) -> str:
    if advice := _ADVICE.get(error.reason):
        return advice
    match error:
        case OverloadedError(retry_after=float(seconds)):
            return f". Try again in {seconds:g} s."
        case OverloadedError():
            return ". Try again in a moment."
        case UnavailableError():
            return (
                f". Is the server at {address} up? `make status` tells for a local one; "
                "--address names another."
            )
        case DeadlineError():
            return ". Give it more time with --timeout SECONDS."
        case NotFoundError():
            return ". `seqway models` lists what is served."
        case AuthenticationError():
            return ". Ask the server's operator for access."
        case InvalidRequestError():
            return ""
        case _:
            return ". The server's log tells more."
