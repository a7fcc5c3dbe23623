"""The texts that a command works on: arguments, a file, or standard input."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

Texts = Annotated[list[str] | None, typer.Argument(help="Texts, each on its own.")]
File = Annotated[
    Path | None,
    typer.Option("--file", "-f", "-i", help="A UTF-8 text file, which is one document."),
]
ModelName = Annotated[
    str,
    typer.Option(
        "--model", "-m", help="A model, or one variant of it; by default the server picks."
    ),
]


def read_texts(
    arguments: Sequence[str] | None,
    file: Path | None,
    *,
    argument_name: str = "TEXT",
    file_option: str = "--file",
) -> list[str]:
    """Each argument is a text; a file and standard input are one document each.

    Line ends are kept as they are.  Raises `typer.BadParameter` for what can't be read.
    """
    if arguments and file is not None:
        raise typer.BadParameter(
            f"give either {argument_name} or {file_option}, not both", param_hint=file_option
        )
    if arguments:
        return list(arguments)
    if file is not None and str(file) != "-":
        return [decode(read_file(file, file_option), str(file), file_option)]
    if file is None and sys.stdin.isatty():
        raise typer.BadParameter(
            f"nothing to read: give it as {argument_name}, with {file_option}, "
            "or on standard input",
            param_hint=argument_name,
        )
    return [decode(sys.stdin.buffer.read(), "standard input", file_option)]


def read_file(file: Path, option: str) -> bytes:
    """The bytes of the file; `typer.BadParameter` when it can't be read."""
    try:
        return file.read_bytes()
    except OSError as error:
        raise typer.BadParameter(f"{file}: {error.strerror}", param_hint=option) from None


def decode(data: bytes, origin: str, option: str) -> str:
    """The text; `typer.BadParameter` when it is not UTF-8."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise typer.BadParameter(
            f"{origin} is not UTF-8 text (byte {error.start:,})", param_hint=option
        ) from None
