"""The formats: each gives rows of named values, with the line where each row is."""

from collections.abc import Callable, Iterator

from services.jobs.errors import InvalidInputError
from services.jobs.intake.form import Format
from services.jobs.intake.formats.json_lines import json_rows
from services.jobs.intake.formats.lines import byte_lines
from services.jobs.intake.formats.parquet import parquet_rows
from services.jobs.intake.formats.separated import comma_rows, tab_rows
from services.jobs.intake.formats.source import InputRow, Source


def text_rows(source: Source) -> Iterator[InputRow]:
    """One text a line, blank ones too."""
    form = source.form
    if form.question_field is not None:
        raise InvalidInputError("plain text cannot hold questions: send JSON Lines, CSV or Parquet")
    for number, line in enumerate(byte_lines(source.pieces, source.limits), 1):
        try:
            yield InputRow(number, {form.text_field: line.decode()})
        except UnicodeDecodeError as error:
            reason = f"is not UTF-8 (byte {error.start + 1})"
            yield InputRow(number, None, reason, is_malformed=True)


ROWS: dict[Format, Callable[[Source], Iterator[InputRow]]] = {
    Format.JSON_LINES: json_rows,
    Format.CSV: comma_rows,
    Format.TSV: tab_rows,
    Format.TEXT: text_rows,
    Format.PARQUET: parquet_rows,
}
