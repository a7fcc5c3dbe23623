"""Reads the files of texts that a user gives: to calibrate on, and to measure on."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from engine.training.corpus import Pair

T = TypeVar("T")


class TextFileError(ValueError):
    """A file of texts can't be read, or holds none; the message says which line is wrong."""


def read_texts(path: Path) -> list[str]:
    """The sources of JSON Lines (a name that ends in .jsonl), or a text a line; none is blank.

    Raises:
        TextFileError: the file can't be read or holds no text.

    """
    if path.suffix == ".jsonl":
        texts = _each(path, lambda row: _text(row, "source"))
    else:
        texts = [line for _, line in _lines(path)]
    texts = [text for text in texts if text.strip()]
    if not texts:
        raise TextFileError(f"{path} holds no text.")
    return texts


def read_pairs(path: Path) -> list[Pair]:
    """The pairs of a file of JSON Lines; what else its objects hold is passed over.

    Raises:
        TextFileError: the file can't be read, or holds none.

    """
    pairs = _each(path, lambda row: Pair(_text(row, "source"), _text(row, "target")))
    if not pairs:
        raise TextFileError(f"{path} holds no pair: each line is a JSON object.")
    return pairs


def _each(path: Path, read: Callable[[Any], T]) -> list[T]:
    found = []
    for number, line in _lines(path):
        try:
            found.append(read(json.loads(line)))
        except (ValueError, RecursionError) as error:
            raise TextFileError(f"{path}, line {number}: {error}") from error
    return found


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines that are not blank, with their numbers."""
    try:
        # What some editors put before the first line is no part of it.
        content = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise TextFileError(f"{path} can't be read: {error.strerror}.") from error
    except ValueError as error:
        raise TextFileError(f"{path} can't be read as UTF-8: {error}.") from error
    # Not `splitlines`: JSON may hold other characters that end a line.
    for number, line in enumerate(content.split("\n"), 1):
        if line.strip():
            yield number, line


def _text(row: Any, field: str) -> str:
    if not isinstance(row, dict):
        raise ValueError(f"a JSON object was expected, not {row!r:.60}.")
    if not isinstance(row.get(field), str):
        found = f"is {row[field]!r:.60}" if field in row else "is missing"
        raise ValueError(f"{field!r} {found}, and has to be a text.")
    text: str = row[field]
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{field!r} holds half of a character, {text[error.start]!r}.") from error
    return text
