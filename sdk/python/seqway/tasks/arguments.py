"""The message of the generation options, and other parts that requests share."""

from collections.abc import Sequence
from dataclasses import fields, replace

from seqway.errors import FieldViolation, InvalidRequestError
from seqway.options import GenerationOptions, Sampling
from seqway.v1 import generation_pb2 as pb


def contents_of(text: str | Sequence[str]) -> list[str]:
    """One text or several, as a list."""
    return [text] if isinstance(text, str) else list(text)


_EARLY_STOPPING = {
    None: pb.EARLY_STOPPING_UNSPECIFIED,
    True: pb.EARLY_STOPPING_TRUE,
    False: pb.EARLY_STOPPING_FALSE,
    "never": pb.EARLY_STOPPING_NEVER,
}
_PRIORITIES = {
    None: pb.PRIORITY_UNSPECIFIED,
    "interactive": pb.PRIORITY_INTERACTIVE,
    "bulk": pb.PRIORITY_BULK,
}


def options_message(
    options: GenerationOptions | None, max_new_tokens: int | None
) -> pb.GenerationOptions:
    """The options of a call, of which `max_new_tokens` may be given by itself.

    `InvalidRequestError` names one that no message can hold; `ValueError` when `max_new_tokens` is
    given twice.
    """
    options = _with_limit(options or GenerationOptions(), max_new_tokens)
    message = pb.GenerationOptions()
    _set_fields(message, replace(options, sampling=None, early_stopping=None, priority=None))
    if options.sampling is not None:
        message.sampling.SetInParent()
        _set_fields(message.sampling, options.sampling, "sampling.")
    if options.early_stopping not in _EARLY_STOPPING:
        raise _invalid_option("early_stopping", options.early_stopping)
    if options.priority not in _PRIORITIES:
        raise _invalid_option("priority", options.priority)
    message.early_stopping = _EARLY_STOPPING[options.early_stopping]
    message.priority = _PRIORITIES[options.priority]
    return message


def _with_limit(options: GenerationOptions, limit: int | None) -> GenerationOptions:
    if limit is None:
        return options
    if options.max_new_tokens not in (None, limit):
        raise ValueError("max_new_tokens is given twice: as an argument and in options")
    return replace(options, max_new_tokens=limit)


def _set_fields(
    message: pb.GenerationOptions | pb.Sampling,
    options: GenerationOptions | Sampling,
    prefix: str = "",
) -> None:
    """Copies what is not None; the names are the same on both sides."""
    for field in fields(options):
        value = getattr(options, field.name)
        if value is not None:
            try:
                setattr(message, field.name, value)
            except (TypeError, ValueError):
                raise _invalid_option(prefix + field.name, value) from None


def _invalid_option(name: str, value: object) -> InvalidRequestError:
    return invalid_field(f"options.{name}", f"{value!r} is not a valid value")


def invalid_field(field: str, problem: str, reason: str = "INVALID_OPTION") -> InvalidRequestError:
    """The exception for a field that no message can hold, as the server would word it."""
    return InvalidRequestError(
        f"{field}: {problem}",
        reason=reason,
        violations=(FieldViolation(field, problem),),
    )
