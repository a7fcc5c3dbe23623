"""Bytes to lines."""

import codecs
from collections.abc import Iterable, Iterator

from services.jobs.errors import InvalidInputError
from services.jobs.intake.form import IntakeLimits


def byte_lines(
    pieces: Iterable[bytes], limits: IntakeLimits, *, keep_ends: bool = False
) -> Iterator[bytes]:
    """The lines of an input, without their ends, LF or CR LF, unless these are kept as they are.

    Nothing else ends a line: no lone CR, NEL, U+2028 or form feed.  A BOM is dropped.  Raises
    InvalidInputError for a line that is too long, of which no more is read.
    """
    number, rest, start = 1, b"", True
    for piece in pieces:
        data = rest + piece
        if start and len(data) >= len(codecs.BOM_UTF8):
            data, start = data.removeprefix(codecs.BOM_UTF8), False
        *lines, rest = data.split(b"\n")
        for line in lines:
            _check(line, number, limits)
            number += 1
            yield line + b"\n" if keep_ends else line.removesuffix(b"\r")
        _check(rest, number, limits)
    if start:
        rest = rest.removeprefix(codecs.BOM_UTF8)
    if rest:
        yield rest if keep_ends else rest.removesuffix(b"\r")


def check_blank(count: int, limits: IntakeLimits) -> None:
    """InvalidInputError for blank lines without end, which are no items and yet work."""
    if count > limits.max_items:
        raise InvalidInputError(
            f"the input has more than {limits.max_items} blank lines, which is the limit"
        )


def _check(line: bytes, number: int, limits: IntakeLimits) -> None:
    if len(line) > limits.max_line_bytes:
        raise InvalidInputError(
            f"line {number} has more than {limits.max_line_bytes} bytes, which is the limit"
        )
