"""The form of an input, and what limits it."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath
from urllib.parse import unquote

from services.jobs.errors import InvalidInputError


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


# Every message about an input in another format ends with it.
FORMATS_ACCEPTED = (
    "accepted are JSON Lines (.jsonl), CSV (.csv), TSV (.tsv), plain text with one text per line"
    " (.txt) and Parquet (.parquet), each uncompressed or compressed with gzip (.gz) or zstd (.zst)"
)

# JSON Lines in a file named .json are common; what is a JSON array or one document is told by its
# first line.  The SDKs have the same table.
_SUFFIXES = {
    ".jsonl": Format.JSON_LINES,
    ".ndjson": Format.JSON_LINES,
    ".json": Format.JSON_LINES,
    ".csv": Format.CSV,
    ".tsv": Format.TSV,
    ".txt": Format.TEXT,
    ".text": Format.TEXT,
    ".parquet": Format.PARQUET,
}
_COMPRESSED = (".gz", ".zst")


@dataclass(frozen=True, slots=True)
class InputForm:
    """How to read an input.

    A format of None is that of the URI's suffix, JSON Lines where there is no suffix; a compression
    of None is that of the first bytes.  Without `question_field` there are no questions.
    """

    format: Format | None = None
    compression: Compression | None = None
    text_field: str = "text"
    custom_id_field: str = "custom_id"
    question_field: str | None = None
    uri: str = ""

    @property
    def actual_format(self) -> Format:
        """The format; InvalidInputError for a suffix that tells none."""
        if self.format is not None:
            return self.format
        suffixes = PurePosixPath(unquote(self.uri)).suffixes
        if suffixes and suffixes[-1].lower() in _COMPRESSED:
            suffixes.pop()
        if not suffixes:
            return Format.JSON_LINES
        known = _SUFFIXES.get(suffixes[-1].lower())
        if known is None:
            raise InvalidInputError(
                f"the name of the input ends in {suffixes[-1][:20]!r}, which is no known format:"
                f" {FORMATS_ACCEPTED}; if its content is in one of these, set its format",
                field="spec.input.format",
            )
        return known

    @property
    def fields(self) -> tuple[str, ...]:
        """The members or columns that are read: those that there must be, then that of the id."""
        needed = filter(None, (self.text_field, self.question_field))
        return tuple(dict.fromkeys([*needed, self.custom_id_field]))


@dataclass(frozen=True, slots=True)
class IntakeLimits:
    """The most of everything.

    `max_ratio` is that of decompressed to compressed bytes; it holds beyond 64 MiB.
    `max_parquet_memory` is what the process that reads a Parquet file may take beside its program.
    """

    max_items: int = 5_000_000
    max_text_characters: int = 1_000_000
    max_line_bytes: int = 8 * 2**20
    max_input_bytes: int = 16 * 2**30
    max_ratio: int = 200
    max_custom_id_characters: int = 256
    max_errors: int = 100
    max_parquet_memory: int = 256 * 2**20


_RATIO_FROM = 64 * 2**20


def check_size(size: int, compressed: int, limits: IntakeLimits) -> None:
    """InvalidInputError when `size` bytes are too many, or too many for the compressed ones."""
    if size > limits.max_input_bytes:
        raise InvalidInputError(
            f"the input has more than {limits.max_input_bytes} bytes, which is the limit: split it"
            " into several jobs"
        )
    if size > max(_RATIO_FROM, compressed * limits.max_ratio):
        raise InvalidInputError(
            "the input is a decompression bomb: it expands to more than"
            f" {limits.max_ratio} times its compressed size, which is the limit"
        )
