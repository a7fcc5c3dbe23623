"""Failures as one line on stderr: what happened and what to do."""

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
    "UNKNOWN_JOB": ". `seqway jobs list` lists yours; --tenant selects another tenant.",
    "REQUEST_ID_CONFLICT": ". Use another --request-id for a different job.",
    "JOB_STATE": ". `seqway jobs show JOB` shows its state.",
    "QUEUE_UNAVAILABLE": ". Try again in a moment.",
    "STORE_UNAVAILABLE": ". Try again in a moment.",
    "UNIMPLEMENTED": ". The server does not offer this; batch jobs require SEQWAY_JOB_STORE there.",
}


@contextmanager
def friendly_failures(address: str) -> Iterator[None]:
    """Turns a `SeqwayError` of the block into a line on stderr and exit code 1.

    An argument that is not UTF-8 holds lone surrogates (PEP 383), which no message can carry: that
    is wrong usage, exit code 2.
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
    """What happened, and what to do."""
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
                f". Is the server at {address} up? `make status` checks a local one; "
                "--address selects another."
            )
        case DeadlineError():
            return ". Allow more time with --timeout SECONDS."
        case NotFoundError():
            return ". `seqway models` lists the models."
        case AuthenticationError():
            return ". Ask the server's operator for access."
        case InvalidRequestError():
            return ""
        case _:
            return ". See the server's log."
