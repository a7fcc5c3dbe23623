"""The formats: each gives rows of named values, with the line where each row is."""

import csv
import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from services.jobs.errors import InvalidInputError
from services.jobs.intake.form import Format, InputForm, IntakeLimits
from services.jobs.intake.lines import byte_lines

_PARQUET_ROWS = 1024
_PARQUET_MAGIC = b"PAR1"


@dataclass(frozen=True, slots=True)
class Row:
    """A row, or why there is none; `line` counts from 1."""

    line: int
    values: dict[str, Any] | None
    fault: str = ""


Rows = Callable[[Iterable[bytes], InputForm, IntakeLimits], Iterator[Row]]


def json_rows(pieces: Iterable[bytes], _form: InputForm, limits: IntakeLimits) -> Iterator[Row]:
    """One JSON object a line; blank lines are passed over."""
    for number, line in enumerate(byte_lines(pieces, limits), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except UnicodeDecodeError as error:
            yield Row(number, None, _not_utf8(error))
        except ValueError as error:
            where = f" at column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
            yield Row(number, None, f"is not JSON{where}")
        except RecursionError:
            yield Row(number, None, "is nested too deeply")
        else:
            known = isinstance(value, dict)
            yield Row(number, value if known else None, "" if known else "is no JSON object")


def text_rows(pieces: Iterable[bytes], form: InputForm, limits: IntakeLimits) -> Iterator[Row]:
    """One text a line, blank ones too."""
    if form.question_field is not None:
        raise InvalidInputError("plain text holds no questions: send JSON Lines, CSV or Parquet")
    for number, line in enumerate(byte_lines(pieces, limits), 1):
        try:
            yield Row(number, {form.text_field: line.decode()})
        except UnicodeDecodeError as error:
            yield Row(number, None, _not_utf8(error))


def comma_rows(pieces: Iterable[bytes], form: InputForm, limits: IntakeLimits) -> Iterator[Row]:
    """Comma-separated values with a header."""
    return _separated(pieces, form, limits, ",")


def tab_rows(pieces: Iterable[bytes], form: InputForm, limits: IntakeLimits) -> Iterator[Row]:
    """Tab-separated values with a header."""
    return _separated(pieces, form, limits, "\t")


def _separated(
    pieces: Iterable[bytes], form: InputForm, limits: IntakeLimits, delimiter: str
) -> Iterator[Row]:
    csv.field_size_limit(limits.max_line_bytes)
    # Bytes that are no UTF-8 become lone surrogates, which the check of each text finds.
    lines = (line.decode(errors="surrogateescape") + "\n" for line in byte_lines(pieces, limits))
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    try:
        names = next(reader, None)
    except csv.Error as error:
        raise InvalidInputError(f"the header is not valid CSV ({error})") from None
    if names is None:
        return
    _check_names(names, form)
    while True:
        line = reader.line_num + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            # Where the next row begins is not known behind this.
            raise InvalidInputError(f"line {line} is not valid CSV ({error})") from None
        if not fields:
            continue
        if len(fields) != len(names):
            yield Row(line, None, f"has {len(fields)} columns, and the header has {len(names)}")
        else:
            yield Row(line, dict(zip(names, fields, strict=True)))


def parquet_rows(pieces: Iterable[bytes], form: InputForm, limits: IntakeLimits) -> Iterator[Row]:
    """Apache Parquet, which is read from a temporary file since its directory is at its end."""
    with tempfile.TemporaryFile(prefix="seqway-job-") as spool:
        for piece in pieces:
            spool.write(piece)
        if not spool.tell():
            return
        spool.seek(0)
        if spool.read(4) != _PARQUET_MAGIC:
            raise InvalidInputError("the input is not a Parquet file")
        spool.seek(0)
        try:
            yield from _parquet_rows(pq.ParquetFile(spool), form, limits)
        except (pa.ArrowException, OSError) as error:
            kind = type(error).__name__
            raise InvalidInputError(f"the Parquet file cannot be read ({kind})") from None


def _parquet_rows(file: Any, form: InputForm, limits: IntakeLimits) -> Iterator[Row]:
    names = file.schema_arrow.names
    _check_names(names, form)
    groups = (file.metadata.row_group(each) for each in range(file.num_row_groups))
    if sum(group.total_byte_size for group in groups) > limits.max_input_bytes:
        raise InvalidInputError(
            f"the input has more than {limits.max_input_bytes} bytes decompressed, the most"
        )
    wanted = [form.text_field, form.custom_id_field, form.question_field]
    columns = [name for name in names if name in wanted]
    number = 0
    for batch in file.iter_batches(batch_size=_PARQUET_ROWS, columns=columns):
        for values in batch.to_pylist():
            number += 1
            yield Row(number, {k: v for k, v in values.items() if v is not None})


def _check_names(names: Sequence[str], form: InputForm) -> None:
    for wanted in filter(None, (form.text_field, form.question_field)):
        if wanted not in names:
            known = ", ".join(repr(name[:40]) for name in names[:10])
            raise InvalidInputError(
                f"there is no column {wanted!r}; the columns are {known}: name the right one"
            )


def _not_utf8(error: UnicodeDecodeError) -> str:
    return f"is not UTF-8 (byte {error.start + 1})"


ROWS: dict[Format, Rows] = {
    Format.JSON_LINES: json_rows,
    Format.CSV: comma_rows,
    Format.TSV: tab_rows,
    Format.TEXT: text_rows,
    Format.PARQUET: parquet_rows,
}
