"""JSON Lines: one object a line."""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

from services.jobs.intake.formats.lines import byte_lines, check_blank
from services.jobs.intake.formats.source import InputRow, Source
from services.jobs.intake.memory_room import room_for_row

# Longer ones are no ids, and Python refuses to make numbers of 4,300 digits.
_MOST_DIGITS = 1000


class _Repeating(dict[str, Any]):
    """An object that has members twice."""

    repeated: frozenset[str] = frozenset()


def json_rows(source: Source) -> Iterator[InputRow]:
    """One object a line; blank lines are passed over."""
    wanted = source.form.fields
    blank = 0
    for number, line in enumerate(byte_lines(source.pieces, source.limits), 1):
        if not line.strip():
            blank += 1
            check_blank(blank, source.limits)
            continue
        with room_for_row(len(line)):
            row = _row(number, line, wanted)
        yield row


def _row(number: int, line: bytes, wanted: tuple[str, ...]) -> InputRow:
    """Holds nothing of the line but what is wanted."""
    try:
        value = _DECODER.decode(line.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        return InputRow(number, None, f"is not UTF-8 (byte {error.start + 1})", is_malformed=True)
    except json.JSONDecodeError as error:
        return InputRow(number, None, f"is not JSON at column {error.colno}", is_malformed=True)
    except RecursionError:
        return InputRow(number, None, "is nested too deeply", is_malformed=True)
    if not isinstance(value, dict):
        return InputRow(number, None, "is not a JSON object", is_malformed=True)
    for name in wanted:
        if isinstance(value, _Repeating) and name in value.repeated:
            return InputRow(number, None, f"has {name!r} twice: keep one of them")
    return InputRow(number, {name: value[name] for name in wanted if name in value})


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) == len(pairs):
        return members
    repeating = _Repeating(members)
    counts = Counter(name for name, _ in pairs)
    repeating.repeated = frozenset(name for name, count in counts.items() if count > 1)
    return repeating


def _whole(digits: str) -> int | float:
    return int(digits) if len(digits) <= _MOST_DIGITS else float("inf")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_int=_whole)
