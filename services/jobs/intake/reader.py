"""An input as a stream of checked items."""

from collections.abc import Generator, Iterable
from typing import Any

from services.jobs.errors import InvalidInputError, InvalidLine
from services.jobs.intake.appearance import hint, peeked, refuse_binary
from services.jobs.intake.decompression import plain_bytes
from services.jobs.intake.form import Format, InputForm, IntakeLimits
from services.jobs.intake.formats.rows import ROWS
from services.jobs.intake.formats.source import InputRow, Source
from services.jobs.intake.identifiers import Identifiers
from services.jobs.store.items import Item

_NAMED = 3


class _LineFault(Exception):  # noqa: N818
    """Why a row is refused."""


def read_items(
    chunks: Iterable[bytes], form: InputForm, limits: IntakeLimits
) -> Generator[Item, None, None]:
    """The items of an input; blocks on `chunks`, holds little of it.  Who leaves early closes it.

    Raises InvalidInputError: at once for what is wrong with the whole, at the end for what is wrong
    with lines, with all of them up to the most.  Then what was yielded is void.
    """
    faults: list[InvalidLine] = []
    count = 0
    source = _source(chunks, form, limits)
    with Identifiers() as identifiers:
        for row in ROWS[form.actual_format](source):
            count += 1
            if count > limits.max_items:
                raise InvalidInputError(
                    f"the input has more than {limits.max_items} lines, which is the limit:"
                    " split it into several jobs"
                )
            try:
                item = _item(row, count - 1, form, limits, identifiers)
            except _LineFault as fault:
                more = f" ({hint(source.head, form)})" if count == 1 and row.is_malformed else ""
                faults.append(InvalidLine(row.line, f"{fault}{more}"))
                if len(faults) == limits.max_errors:
                    break
                continue
            if not faults:
                yield item
    if faults:
        raise _refusal(faults, limits, form)
    if not count:
        raise InvalidInputError("the input is empty: it needs at least one line")


def _source(chunks: Iterable[bytes], form: InputForm, limits: IntakeLimits) -> Source:
    kind = form.actual_format
    head, pieces = peeked(plain_bytes(chunks, form.compression, limits))
    if kind is not Format.PARQUET:
        refuse_binary(head, form)
    return Source(pieces, head, form, limits)


def _refusal(faults: list[InvalidLine], limits: IntakeLimits, form: InputForm) -> InvalidInputError:
    unit = "row" if form.actual_format is Format.PARQUET else "line"
    named = "; ".join(f"{unit} {each.line} {each.reason}" for each in faults[:_NAMED])
    more = len(faults) - _NAMED
    rest = f"; and {more} more" if more > 0 else ""
    stopped = ", where reading stopped" if len(faults) == limits.max_errors else ""
    return InvalidInputError(f"{named}{rest}{stopped}", faults)


def _item(
    row: InputRow, index: int, form: InputForm, limits: IntakeLimits, identifiers: Identifiers
) -> Item:
    if row.values is None:
        raise _LineFault(row.fault)
    text = _text(row.values, form.text_field, limits.max_text_characters)
    question = None
    if form.question_field is not None:
        question = _text(row.values, form.question_field, limits.max_text_characters)
        if not question.strip():
            raise _LineFault(f"has an empty {form.question_field!r}")
    custom_id = _custom_id(row.values.get(form.custom_id_field), form, limits)
    if custom_id:
        before = identifiers.add(custom_id, row.line)
        if before is not None:
            raise _LineFault(
                f"repeats the {form.custom_id_field!r} of line {before}: custom ids must be unique"
            )
    return Item(index, text, custom_id, question)


def _text(values: dict[str, Any], name: str, most: int) -> str:
    value = values.get(name)
    if value is None:
        raise _LineFault(f"has no {name!r}")
    if not isinstance(value, str):
        raise _LineFault(f"has a {name!r} that is not a string")
    if len(value) > most:
        raise _LineFault(f"has a {name!r} of {len(value)} characters; the limit is {most}")
    _check_unicode(value, name)
    return value


def _custom_id(value: Any, form: InputForm, limits: IntakeLimits) -> str:
    name, most = form.custom_id_field, limits.max_custom_id_characters
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise _LineFault(f"has a {name!r} that is neither a string nor an integer")
    custom_id = str(value)
    if len(custom_id) > most:
        raise _LineFault(f"has a {name!r} of {len(custom_id)} characters; the limit is {most}")
    _check_unicode(custom_id, name)
    return custom_id


def _check_unicode(value: str, name: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise _LineFault(
            f"has a {name!r} that is not UTF-8 (character {error.start + 1})"
        ) from None
