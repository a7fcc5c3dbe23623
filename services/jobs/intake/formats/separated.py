"""Values with a separator between them, below a line of column names."""

import csv
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass

from services.jobs.errors import InvalidInputError
from services.jobs.intake.appearance import hint
from services.jobs.intake.form import IntakeLimits
from services.jobs.intake.formats.lines import byte_lines, check_blank
from services.jobs.intake.formats.source import InputRow, Source
from services.jobs.intake.memory_room import LARGE_ROW_BYTES, room_for_row


def comma_rows(source: Source) -> Iterator[InputRow]:
    """CSV after RFC 4180: a field in quotes is kept byte for byte, line breaks and all."""
    # Of the whole process, and never reached: the bound of a row comes first.
    csv.field_size_limit(source.limits.max_line_bytes + 16)
    with closing(_SeparatedLines(source)) as lines:
        yield from _comma_rows(lines, source)


def _comma_rows(lines: "_SeparatedLines", source: Source) -> Iterator[InputRow]:
    reader = csv.reader(lines, strict=True)
    header = row = None
    blank = 0
    while True:
        line = reader.line_num + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            # Where the next row begins is not known behind this.
            raise InvalidInputError(f"line {line} is not valid CSV ({_reason(error)})") from None
        if not fields:
            blank += 1
            check_blank(blank, source.limits)
        elif header is None:
            header = _header(fields, source)
        else:
            row = header.row(line, fields)
        del fields
        lines.end_row()
        if row is not None:
            yield row
            row = None


def tab_rows(source: Source) -> Iterator[InputRow]:
    """TSV as IANA has it (text/tab-separated-values): a row a line, and quotes are text.

    Blank lines are passed over, unless there is but one column: there they are empty fields.
    """
    header = None
    blank = 0
    for number, line in enumerate(byte_lines(source.pieces, source.limits), 1):
        if not line and (header is None or header.width > 1):
            blank += 1
            check_blank(blank, source.limits)
        elif header is None:
            with room_for_row(len(line)):
                header = _header(_text(line).split("\t"), source)
        else:
            with room_for_row(len(line)):
                row = header.row(number, _text(line).split("\t"))
            yield row


@dataclass(frozen=True, slots=True)
class _Header:
    """How many columns there are, and where those that are read."""

    width: int
    places: dict[str, int]

    def row(self, line: int, fields: Sequence[str]) -> InputRow:
        """The row with these fields."""
        if len(fields) != self.width:
            fault = f"has {len(fields)} columns, but the header has {self.width}"
            return InputRow(line, None, fault)
        return InputRow(line, {name: fields[place] for name, place in self.places.items()})


def _header(names: Sequence[str], source: Source) -> _Header:
    """InvalidInputError unless each wanted column is there once; that of the id may be missing."""
    form = source.form
    places = {}
    for wanted in form.fields:
        count = names.count(wanted)
        if count > 1:
            raise InvalidInputError(f"there are {count} columns {wanted!r}: rename all but one")
        if count:
            places[wanted] = names.index(wanted)
        elif wanted != form.custom_id_field:
            known = ", ".join(repr(name[:40]) for name in names[:10])
            raise InvalidInputError(
                f"there is no column {wanted!r}; the columns are {known}: name the right one;"
                f" {hint(source.head, form)}"
            )
    return _Header(len(names), places)


class _SeparatedLines:
    """The lines for the reader of CSV, as text; bounds a row, which may go over many of them."""

    def __init__(self, source: Source) -> None:
        self._lines = byte_lines(source.pieces, source.limits, keep_ends=True)
        self._limits: IntakeLimits = source.limits
        self._size = self._number = 0
        self._row = 1
        self._place = ExitStack()

    def end_row(self) -> None:
        """The next line begins a row."""
        self._place.close()
        self._size, self._row = 0, self._number + 1

    def close(self) -> None:
        """Gives back the place of a large row."""
        self._place.close()

    def __iter__(self) -> Iterator[str]:
        for line in self._lines:
            self._number += 1
            self._size += len(line)
            if self._size > self._limits.max_line_bytes + 2:
                raise InvalidInputError(
                    f"the row at line {self._row} has more than {self._limits.max_line_bytes}"
                    " bytes, which is the limit; is a quote not closed?"
                )
            if self._size > LARGE_ROW_BYTES >= self._size - len(line):
                self._place.enter_context(room_for_row(self._size))
            yield _text(line)


def _text(line: bytes) -> str:
    """Bytes that are no UTF-8 become lone surrogates, which the check of each text finds."""
    return line.decode(errors="surrogateescape")


def _reason(error: csv.Error) -> str:
    if "new-line character" in str(error):
        return "a carriage return outside quotes: put the field in quotes"
    if "unexpected end of data" in str(error):
        return "a quote is not closed"
    return str(error)
