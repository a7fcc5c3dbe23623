"""Bytes to lines of text."""

import codecs
from collections.abc import Iterable, Iterator

from services.jobs.errors import InvalidInputError
from services.jobs.intake.form import IntakeLimits


def byte_lines(pieces: Iterable[bytes], limits: IntakeLimits) -> Iterator[bytes]:
    """The lines of an input without their ends, which are LF or CR LF; a BOM is dropped.

    Raises InvalidInputError for a line that is too long, of which no more is read, and for UTF-16.
    """
    number, rest, start = 1, b"", True
    for piece in pieces:
        data = rest + piece
        if start and len(data) >= len(codecs.BOM_UTF8):
            data, start = _without_mark(data), False
        *lines, rest = data.split(b"\n")
        for line in lines:
            _check(line, number, limits)
            number += 1
            yield line.removesuffix(b"\r")
        _check(rest, number, limits)
    if start:
        rest = _without_mark(rest)
    if rest:
        yield rest.removesuffix(b"\r")


def _without_mark(data: bytes) -> bytes:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise InvalidInputError("the input is UTF-16: convert it to UTF-8")
    return data.removeprefix(codecs.BOM_UTF8)


def _check(line: bytes, number: int, limits: IntakeLimits) -> None:
    if len(line) > limits.max_line_bytes:
        raise InvalidInputError(
            f"line {number} has more than {limits.max_line_bytes} bytes, which is the most"
        )
