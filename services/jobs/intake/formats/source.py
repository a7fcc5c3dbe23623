"""What a format reads, and what it makes of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from services.jobs.intake.form import InputForm, IntakeLimits


@dataclass(frozen=True, slots=True)
class Source:
    """The decompressed bytes of an input, the first of which are also its `head`."""

    pieces: Iterator[bytes]
    head: bytes
    form: InputForm
    limits: IntakeLimits


@dataclass(frozen=True, slots=True)
class InputRow:
    """The fields of a row that are read, or why there are none; `line` counts from 1.

    `is_malformed` when the row is not in its format at all.
    """

    line: int
    values: dict[str, Any] | None
    fault: str = ""
    is_malformed: bool = False
