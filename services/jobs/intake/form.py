"""The form of an input, and what limits it."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath


class Format(StrEnum):
    """The format of an input; the values are the suffixes of files."""

    JSON_LINES = "jsonl"
    CSV = "csv"
    TSV = "tsv"
    TEXT = "text"
    PARQUET = "parquet"


class Compression(StrEnum):
    """The compression of an input."""

    NONE = "none"
    GZIP = "gzip"
    ZSTD = "zstd"


_SUFFIXES = {
    ".jsonl": Format.JSON_LINES,
    ".ndjson": Format.JSON_LINES,
    ".csv": Format.CSV,
    ".tsv": Format.TSV,
    ".txt": Format.TEXT,
    ".text": Format.TEXT,
    ".parquet": Format.PARQUET,
}


@dataclass(frozen=True, slots=True)
class InputForm:
    """How to read an input.

    A format of None is that of the URI's suffix, else JSON Lines; a compression of None is that of
    the first bytes.  Without `question_field` there are no questions.
    """

    format: Format | None = None
    compression: Compression | None = None
    text_field: str = "text"
    custom_id_field: str = "custom_id"
    question_field: str | None = None
    uri: str = ""

    @property
    def actual_format(self) -> Format:
        """The format."""
        if self.format is not None:
            return self.format
        suffixes = PurePosixPath(self.uri).suffixes
        known = (_SUFFIXES[s.lower()] for s in suffixes[-2:] if s.lower() in _SUFFIXES)
        return next(known, Format.JSON_LINES)


@dataclass(frozen=True, slots=True)
class IntakeLimits:
    """The most of everything.

    `max_ratio` is that of decompressed to compressed bytes; it holds beyond 64 MiB.
    """

    max_items: int = 5_000_000
    max_text_characters: int = 1_000_000
    max_line_bytes: int = 8 * 2**20
    max_input_bytes: int = 16 * 2**30
    max_ratio: int = 200
    max_custom_id_characters: int = 256
    max_errors: int = 100
