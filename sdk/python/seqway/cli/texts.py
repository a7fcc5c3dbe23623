"""The texts that a command works on: arguments, a file, or standard input."""

import sys
from pathlib import Path

import typer


def read_texts(arguments: list[str] | None, file: Path | None) -> list[str]:
    """Each argument is a text; a file and standard input are one document each.

    Line ends are kept as they are.  Raises `typer.BadParameter` for what can't be read.
    """
    if arguments and file is not None:
        raise typer.BadParameter("give either texts or --file, not both", param_hint="--file")
    if arguments:
        return arguments
    if file is not None and str(file) != "-":
        return [_decode(_read(file), str(file))]
    if file is None and sys.stdin.isatty():
        raise typer.BadParameter(
            "no text: give it as an argument, with --file, or on standard input",
            param_hint="TEXT",
        )
    return [_decode(sys.stdin.buffer.read(), "standard input")]


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise typer.BadParameter(f"{file}: {error.strerror}", param_hint="--file") from None


def _decode(data: bytes, origin: str) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise typer.BadParameter(
            f"{origin} is not UTF-8 text (byte {error.start:,})", param_hint="--file"
        ) from None
