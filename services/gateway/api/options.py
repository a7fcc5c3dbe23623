"""`GenerationOptions`: what they must be, and what the engine is told."""

from collections.abc import Mapping
from typing import Any, Literal

from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet
from seqway.v1 import generation_pb2

from engine.contract.options import InvalidOptionsError, Options, Priority, check_option
from services.inference.errors import InvalidOptionError

_EARLY_STOPPING: Mapping[int, bool | Literal["never"]] = {
    generation_pb2.EARLY_STOPPING_TRUE: True,
    generation_pb2.EARLY_STOPPING_FALSE: False,
    generation_pb2.EARLY_STOPPING_NEVER: "never",
}


_CONVERTED = {"sampling", "early_stopping", "priority"}


def generation_of(options: generation_pb2.GenerationOptions) -> Options:
    """The options for the engine; InvalidOptionError when one is wrong or two contradict."""
    _check_enums(options)
    values = _values("options", options)
    if options.HasField("sampling"):
        values |= {"sample": True} | _values("options.sampling", options.sampling)
    _check_contradictions(options)
    early_stopping = _EARLY_STOPPING.get(options.early_stopping)
    bulk = options.priority == generation_pb2.PRIORITY_BULK
    priority = Priority.BULK if bulk else Priority.INTERACTIVE
    return Options(**values, early_stopping=early_stopping, priority=priority)


def _values(path: str, message: Message) -> dict[str, Any]:
    """The fields that are set and that have the engine's names, each in its range."""
    _check_known(path, message)
    values = {}
    for field, value in message.ListFields():
        if field.name in _CONVERTED:
            continue
        values[field.name] = value
        try:
            check_option(field.name, value)
        except InvalidOptionsError as error:
            raise InvalidOptionError(f"{path}.{error!s}", field=f"{path}.{field.name}") from None
    return values


def _check_known(field: str, message: Message) -> None:
    """An option of a later version must not be passed over as if it had been obeyed."""
    unknown = UnknownFieldSet(message)
    if len(unknown):
        number = unknown[0].field_number
        raise InvalidOptionError(
            f"{field} has an option that this server does not know (field number {number})",
            field=field,
        )


def _check_enums(options: generation_pb2.GenerationOptions) -> None:
    if options.priority not in generation_pb2.Priority.values():
        raise _wrong("priority", f"is {options.priority}, and there is no such priority")
    if options.early_stopping not in generation_pb2.EarlyStopping.values():
        raise _wrong("early_stopping", f"is {options.early_stopping}, and there is no such value")


def _check_contradictions(options: generation_pb2.GenerationOptions) -> None:
    most, beams = options.max_new_tokens, options.num_beams
    if most and options.min_new_tokens > most:
        raise _wrong(
            "min_new_tokens", f"is {options.min_new_tokens}, more than max_new_tokens, {most}"
        )
    if options.HasField("sampling") and beams > 1:
        raise _wrong("num_beams", f"is {beams}, and beams cannot be combined with sampling")
    if options.HasField("sampling") and options.num_hypotheses > 1:
        raise _wrong("num_hypotheses", "above 1 needs a beam search, and sampling is asked for")
    if beams and options.num_hypotheses > beams:
        raise _wrong("num_hypotheses", f"is {options.num_hypotheses}, more than num_beams, {beams}")


def _wrong(name: str, rule: str) -> InvalidOptionError:
    return InvalidOptionError(f"options.{name} {rule}", field=f"options.{name}")
