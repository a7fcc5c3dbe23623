"""Glossaries: terms and their translations, and the files that hold them."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class GlossaryEntry:
    """A term, matched as whole words, and its translation."""

    source_term: str
    target_term: str
    case_sensitive: bool = False


Glossary = Mapping[str, str] | Sequence[GlossaryEntry]


def read_glossary(file: Path | str, *, case_sensitive: bool = False) -> tuple[GlossaryEntry, ...]:
    """The entries of a UTF-8 file: a term and its translation a line, without a heading.

    A file whose name ends in `.csv` is separated by commas, any other by tabs.  Empty lines are
    skipped.  Raises `ValueError` that names the line which is not a pair of terms, `OSError` when
    the file can't be read.
    """
    path = Path(file)
    try:
        rows = _rows(path.read_text(encoding="utf-8-sig"), path.suffix.lower() == ".csv")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text (byte {error.start:,})") from None
    except csv.Error as error:
        raise ValueError(f"{path} can't be read as CSV: {error}") from None
    return tuple(
        _entry(row, f"{path}, line {number}", case_sensitive)
        for number, row in enumerate(rows, 1)
        if any(field.strip() for field in row)
    )


def _rows(text: str, is_csv: bool) -> list[list[str]]:
    lines = text.splitlines()
    return list(csv.reader(lines)) if is_csv else [line.split("\t") for line in lines]


def _entry(row: list[str], place: str, case_sensitive: bool) -> GlossaryEntry:
    terms = [field.strip() for field in row]
    if len(terms) != 2 or not all(terms):
        raise ValueError(f"{place}: expected a term and its translation, not {terms}")
    return GlossaryEntry(terms[0], terms[1], case_sensitive)
