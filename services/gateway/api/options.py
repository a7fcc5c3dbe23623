"""`GenerationOptions`: what they must be, and what the engine is told.

The names, the ranges and the types are those of `engine.contract.options`.
"""

from collections.abc import Iterator
from typing import Any

from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet
from seqway.v1 import generation_pb2

from engine.contract.options import OPTIONS, Options, Priority
from services.inference.errors import InvalidOptionError

_FLAGS = {"true": True, "false": False}


def generation_of(options: generation_pb2.GenerationOptions) -> Options:
    """The options for the engine; InvalidOptionError when one is wrong or two contradict."""
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
