"""What an input looks like that is not in the format that it was read in."""

import codecs
import re
from collections.abc import Iterator

from services.jobs.errors import InvalidInputError
from services.jobs.intake.form import FORMATS_ACCEPTED, Format, InputForm

HEAD_BYTES = 4096

# By their first bytes; none of these is text, in whatever format text comes.
_BINARY = (
    (rb"%PDF-\d", "a PDF document"),
    (rb"\{\\rtf", "an RTF document"),
    (rb"PK(\x03\x04|\x05\x06|\x07\x08)", "a ZIP archive, as .docx, .xlsx, .pptx and .odt are"),
    (rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Office document (.doc, .xls, .ppt)"),
    (rb"PAR1[\0-\x08\x0e-\x1f]|PARE..[\0-\x08]\0", "a Parquet file"),
    (rb"ARROW1|\xff\xff\xff\xff[^\xff]{3}\0", "Arrow IPC (Feather)"),
    (rb"ORC[\0-\x08]", "an ORC file"),
    (rb"Obj\x01", "an Avro file"),
    (rb"SQLite format 3\0", "an SQLite database"),
    (rb"\x1f\x8b", "gzip, which was not declared"),
    (rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18", "zstd, which was not declared"),
    (rb"BZh[1-9]1AY&SY", "bzip2"),
    (rb"\xfd7zXZ\0", "xz"),
    (rb"[\x02\x04]\x22\x4d\x18|\xff\x06\0\0sNaPpY", "LZ4 or Snappy"),
    (rb"7z\xbc\xaf\x27\x1c|Rar!\x1a\x07", "a 7-Zip or RAR archive"),
    (rb"\x7fELF|\x89PNG|\xff\xd8\xff", "a program or an image"),
)
# Text, which is valid plain text and maybe CSV: only an input that is not is told of these.
_TEXTUAL = (
    (rb"\[", "a JSON array: put each object on a line of its own (`jq -c '.[]'`)"),
    (
        rb'\{\s*("[^"\n]*"\s*:[^\n]*[,\[{]\s*)?\n',
        "JSON over several lines: put each object on one line (`jq -c .`)",
    ),
    (rb"\{", "JSON"),
    (rb"(?i)<!doctype html|<html|<head|<body", "HTML"),
    (rb"<", "XML or HTML"),
    (rb"WEBVTT", "WebVTT subtitles"),
    (rb"\d+\s+\d\d:\d\d:\d\d[,.]\d", "SRT subtitles"),
    (rb"---\s|#{1,6} ", "Markdown or YAML"),
)
_SEPARATED = ((b",", "CSV"), (b"\t", "TSV"), (b";", "CSV with semicolons instead of commas"))
_NAMES = {
    Format.JSON_LINES: "JSON Lines",
    Format.CSV: "CSV",
    Format.TSV: "TSV",
    Format.TEXT: "plain text",
    Format.PARQUET: "Parquet",
}


def peeked(pieces: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """The first bytes, and all of the pieces again."""
    held: list[bytes] = []
    size = 0
    while size < HEAD_BYTES and (piece := next(pieces, None)) is not None:
        held.append(piece)
        size += len(piece)
    return b"".join(held)[:HEAD_BYTES], _chained(held[::-1], pieces)


def _chained(held: list[bytes], rest: Iterator[bytes]) -> Iterator[bytes]:
    while held:
        yield held.pop()
    yield from rest


def refuse_binary(head: bytes, form: InputForm) -> None:
    """InvalidInputError for an input that begins as no text does."""
    seen = _binary(head)
    if seen:
        read_as = _NAMES[form.actual_format]
        raise InvalidInputError(
            f"the input is {seen}; it was read as {read_as}: {FORMATS_ACCEPTED}"
        )


def hint(head: bytes, form: InputForm) -> str:
    """What an input that is not valid from its first row on may be, and what is taken."""
    read_as = _NAMES[form.actual_format]
    seen = _binary(head) or _textual(head, form)
    looks = f"the input looks like {seen}; it" if seen else "the input"
    return f"{looks} was read as {read_as}: {FORMATS_ACCEPTED}"


def _binary(head: bytes) -> str | None:
    for pattern, name in _BINARY:
        if re.match(pattern, head, re.DOTALL):
            return name
    wide = _wide(head)
    return wide and f"{wide}: convert it to UTF-8"


def _wide(head: bytes) -> str | None:
    """UTF-16 or UTF-32, by the mark, or by the NULs that ASCII has there at the same places."""
    if head.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "UTF-32"
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "UTF-16"
    quads = min(len(head), 1024) // 4
    if quads < 2:
        return None
    nul = [head[place : 4 * quads : 4].count(0) > 0.4 * quads for place in range(4)]
    if sum(nul) == 3:
        return "UTF-32"
    return "UTF-16" if nul in ([True, False] * 2, [False, True] * 2) else None


def _textual(head: bytes, form: InputForm) -> str:
    text = head.removeprefix(codecs.BOM_UTF8).lstrip()
    for pattern, name in _TEXTUAL:
        if re.match(pattern, text):
            return name
    columns = text.partition(b"\n")[0].rstrip(b"\r")
    for separator, name in _SEPARATED:
        names = [one.strip(b'"') for one in columns.split(separator)]
        if len(names) > 1 and form.text_field.encode(errors="surrogatepass") in names:
            return name
    return "plain text" if form.actual_format is Format.JSON_LINES else ""
