"""The texts that a command works on: arguments, a file, or standard input."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

_FILE = "--file"

Texts = Annotated[list[str] | None, typer.Argument(help="One text or several.")]
File = Annotated[
    Path | None,
    typer.Option(_FILE, "-f", "-i", help="UTF-8 text file, which is one document."),
]
ModelName = Annotated[
    str,
    typer.Option(
        "--model", "-m", help="A model, or one variant of it; by default the server's choice."
    ),
]


def read_texts(
    arguments: Sequence[str] | None,
    file: Path | None,
    *,
    argument_name: str = "TEXT",
) -> list[str]:
    """Each argument is a text; a file and standard input are one document each.

    Line ends are kept as they are.  Raises `typer.BadParameter` for what can't be read.
    """
    if arguments and file is not None:
        raise typer.BadParameter(
            f"pass either {argument_name} or {_FILE}, not both", param_hint=_FILE
        )
    if arguments:
        return list(arguments)
    if file is not None and str(file) != "-":
        return [_decode(_read_file(file), str(file))]
    if file is None and sys.stdin.isatty():
        raise typer.BadParameter(
            f"no input: pass it as {argument_name}, with {_FILE} or on standard input",
            param_hint=argument_name,
        )
    return [_decode(sys.stdin.buffer.read(), "standard input")]


def _read_file(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise typer.BadParameter(f"{file}: {error.strerror}", param_hint=_FILE) from None


def _decode(data: bytes, origin: str) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise typer.BadParameter(
            f"{origin} is not UTF-8 text (byte {error.start:,})", param_hint=_FILE
        ) from None
