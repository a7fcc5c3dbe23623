"""The input of a batch job: a file, a URI, or the lines themselves."""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TypeVar, runtime_checkable

from seqway.errors import InvalidRequestError
from seqway.tasks.arguments import invalid_field
from seqway.v1 import job_pb2 as pb


@runtime_checkable
class Readable(Protocol):
    """A binary file, or an object that reads like one."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; empty at the end."""


JobLines = Path | str | Readable | Iterable[str | Mapping[str, object]]
"""A file of this machine, a URI that the server reads, an open binary file, or the lines: texts,
or objects with the members of a line of JSON."""

_Number = TypeVar("_Number", bound=int)

JobFormat = Literal["jsonl", "csv", "tsv", "text", "parquet"]
JobCompression = Literal["none", "gzip", "zstd"]

_FORMATS: dict[str | None, "pb.JobInputFormat.ValueType"] = {
    None: pb.JOB_INPUT_FORMAT_UNSPECIFIED,
    "jsonl": pb.JOB_INPUT_FORMAT_JSON_LINES,
    "csv": pb.JOB_INPUT_FORMAT_CSV,
    "tsv": pb.JOB_INPUT_FORMAT_TSV,
    "text": pb.JOB_INPUT_FORMAT_TEXT,
    "parquet": pb.JOB_INPUT_FORMAT_PARQUET,
}
_COMPRESSIONS: dict[str | None, "pb.JobInputCompression.ValueType"] = {
    None: pb.JOB_INPUT_COMPRESSION_UNSPECIFIED,
    "none": pb.JOB_INPUT_COMPRESSION_NONE,
    "gzip": pb.JOB_INPUT_COMPRESSION_GZIP,
    "zstd": pb.JOB_INPUT_COMPRESSION_ZSTD,
}
# As the server reads the names of URIs.
_SUFFIXES: dict[str, JobFormat] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
    ".txt": "text",
    ".text": "text",
    ".parquet": "parquet",
}
_COMPRESSED = (".gz", ".zst")
_PIECE_BYTES = 256 * 1024
# A server ends uploads that stall: a piece that slow lines have not filled is sent after this.
_PIECE_SECONDS = 5.0


def is_uri(text: str) -> bool:
    """Whether the server reads it itself, as "s3://bucket/lines.jsonl"."""
    return "://" in text


def format_of(file: Path) -> JobFormat:
    """By the suffix, before that of a compression; JSON Lines without one.

    `InvalidRequestError` for a suffix of no supported format, such as .md or .xlsx.
    """
    suffixes = [suffix.lower() for suffix in file.suffixes]
    if suffixes and suffixes[-1] in _COMPRESSED:
        suffixes.pop()
    if not suffixes:
        return "jsonl"
    known = _SUFFIXES.get(suffixes[-1])
    if known is None:
        raise _invalid(
            "format",
            f"the name {file.name!r} does not tell it: supported are JSON Lines (.jsonl), CSV "
            "(.csv), TSV (.tsv), plain text with one text a line (.txt) and Parquet (.parquet), "
            "each plain or in gzip (.gz) or zstd (.zst); for one of these under another name, pass "
            f"the format: {', '.join(filter(None, _FORMATS))}",
        )
    return known


@dataclass(frozen=True, slots=True)
class LineFormat:
    """How to read lines; empty is the server's default."""

    format: JobFormat | None = None
    compression: JobCompression | None = None
    text_field: str = ""
    custom_id_field: str = ""
    question_field: str = ""

    def message(self, lines: JobLines) -> pb.JobInput:
        """For these lines; `InvalidRequestError` names what is not one of the choices."""
        if isinstance(lines, str) and not is_uri(lines):
            raise _invalid(
                "lines", f"{lines!r} is not a URI: pass a Path for a file, or a list of texts"
            )
        name = self.format
        if name is None and isinstance(lines, Path):
            name = format_of(lines)
        return pb.JobInput(
            uri=lines if isinstance(lines, str) else "",
            format=_choice("format", name, _FORMATS),
            compression=_choice("compression", self.compression, _COMPRESSIONS),
            text_field=self.text_field,
            custom_id_field=self.custom_id_field,
            question_field=self.question_field,
        )


def _choice(field: str, name: str | None, choices: Mapping[str | None, _Number]) -> _Number:
    if name not in choices:
        raise _invalid(field, f"{name!r} is not one of {', '.join(filter(None, choices))}")
    return choices[name]


def _invalid(field: str, problem: str) -> InvalidRequestError:
    return invalid_field(field, problem, "INVALID_INPUT")


def pieces(lines: JobLines, text_field: str) -> Iterator[bytes]:
    """The bytes to upload, piece by piece; none for a URI.  `OSError` as the file raises it."""
    if isinstance(lines, str):
        return
    if isinstance(lines, Path):
        with lines.open("rb") as file:
            yield from _pieces_of_file(file.read)
    elif isinstance(lines, Readable):
        yield from _pieces_of_file(lines.read)
    else:
        yield from _pieces_of_lines(lines, text_field or "text")


def _pieces_of_file(read: Callable[[int], bytes]) -> Iterator[bytes]:
    while piece := read(_PIECE_BYTES):
        yield piece


def _pieces_of_lines(
    lines: Iterable[str | Mapping[str, object]], text_field: str
) -> Iterator[bytes]:
    piece, sent = bytearray(), time.monotonic()
    for line in lines:
        row = {text_field: line} if isinstance(line, str) else dict(line)
        piece += json.dumps(row, ensure_ascii=False).encode() + b"\n"
        if len(piece) >= _PIECE_BYTES or time.monotonic() - sent > _PIECE_SECONDS:
            yield bytes(piece)
            piece, sent = bytearray(), time.monotonic()
    if piece:
        yield bytes(piece)
