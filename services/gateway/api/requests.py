"""What the fields of a request must be, whatever its service: its texts and its options.

Every function raises a BadRequestError that names the field.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet
from seqway.v1 import generation_pb2

from engine.contract.languages import InvalidLanguageTagError, canonical_tag
from engine.contract.options import OPTIONS, Options, Priority
from services.gateway.api.settings import TextSettings
from services.inference.errors import (
    CallTooLongError,
    InvalidLanguageError,
    InvalidOptionError,
    MissingFieldError,
    TextTooLongError,
    TooManyContentsError,
)

_FLAGS = {"true": True, "false": False}


def check_contents(contents: Sequence[str], settings: TextSettings, *, in_job: bool) -> None:
    """One text or more, not too many and not too long; none in a job."""
    if in_job:
        return check_absent("contents", contents)
    if not contents:
        raise MissingFieldError("contents needs at least one text", field="contents")
    if len(contents) > settings.max_contents:
        raise TooManyContentsError(
            f"the call has {len(contents)} texts; the limit is {settings.max_contents}",
            field="contents",
        )
    for index, text in enumerate(contents):
        check_text(f"contents[{index}]", text, settings.max_text_characters)
    characters = sum(map(len, contents))
    if characters > settings.max_call_characters:
        raise CallTooLongError(
            f"the call has {characters} characters; the limit is {settings.max_call_characters}",
            field="contents",
        )
    return None


def check_text(field: str, text: str, limit: int) -> None:
    """At most so many characters."""
    if len(text) > limit:
        raise TextTooLongError(
            f"{field} has {len(text)} characters; the limit is {limit}", field=field
        )


def check_required(field: str, value: str) -> None:
    """More than white space."""
    if not value.strip():
        raise MissingFieldError(f"{field} is required", field=field)


def language_of(field: str, code: str) -> str:
    """The canonical tag of a language in any spelling."""
    check_required(field, code)
    try:
        return canonical_tag(code)
    except InvalidLanguageTagError as error:
        raise InvalidLanguageError(f"{field}: {error}", field=field) from error


def check_absent(field: str, value: str | Sequence[str]) -> None:
    """Empty, as the texts of a job are the lines of its input."""
    if value:
        raise InvalidOptionError(
            f"{field} must be empty in a job: the texts are the lines of its input", field=field
        )


def check_range(field: str, value: int, most: int) -> None:
    """From 0 to `most`."""
    if not 0 <= value <= most:
        raise InvalidOptionError(f"{field} must be from 0 to {most}; it is {value}", field=field)


def generation_of(options: generation_pb2.GenerationOptions) -> Options:
    """The options for the engine; their names, ranges and types are those of its contract."""
    given = dict(_given("options", options))
    _check_contradictions(options)
    priority = Priority(given.pop("priority", Priority.INTERACTIVE))
    return Options(**given, priority=priority)


def _given(path: str, message: Message) -> Iterator[tuple[str, Any]]:
    """The options that are set in a message, and in those within it, by the engine's names."""
    _check_known(path, message)
    for field, value in message.ListFields():
        place = f"{path}.{field.name}"
        if field.message_type is not None:
            yield "sample", True
            yield from _given(place, value)
            continue
        said = value if field.enum_type is None else _named(place, field.enum_type, value)
        if complaint := OPTIONS[field.name].complaint(said):
            raise _wrong(place, complaint)
        yield field.name, said


def _named(place: str, enum: Any, number: int) -> Any:
    """What a value of an enumeration stands for: FIELD_TRUE for true, FIELD_OTHER for "other"."""
    if number not in enum.values_by_number:
        raise _wrong(place, f"is {number}, and there is no such value")
    prefix = f"{place.rpartition('.')[2].upper()}_"
    name = enum.values_by_number[number].name.removeprefix(prefix).lower()
    return _FLAGS.get(name, name)


def _check_known(path: str, message: Message) -> None:
    """An option of a later version must not be passed over as if it had been obeyed."""
    unknown = UnknownFieldSet(message)
    if len(unknown):
        number = unknown[0].field_number
        raise InvalidOptionError(
            f"{path} has an option that this server does not know (field number {number})",
            field=path,
        )


def _check_contradictions(options: generation_pb2.GenerationOptions) -> None:
    most, beams, count = options.max_new_tokens, options.num_beams, options.num_hypotheses
    if most and options.min_new_tokens > most:
        rule = f"is {options.min_new_tokens}, more than max_new_tokens, {most}"
        raise _wrong("options.min_new_tokens", rule)
    if options.HasField("sampling") and beams > 1:
        rule = f"is {beams}, and beams cannot be combined with sampling"
        raise _wrong("options.num_beams", rule)
    if options.HasField("sampling") and count > 1:
        rule = "above 1 needs a beam search, and sampling is asked for"
        raise _wrong("options.num_hypotheses", rule)
    if beams and count > beams:
        raise _wrong("options.num_hypotheses", f"is {count}, more than num_beams, {beams}")


def _wrong(path: str, rule: str) -> InvalidOptionError:
    return InvalidOptionError(f"{path} {rule}", field=path)
