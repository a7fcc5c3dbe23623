"""`GenerationOptions`: what they must be, and what the engine is told."""

from collections.abc import Mapping
from typing import Any, Literal

from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet
from seqway.v1 import generation_pb2

from services.inference.errors import InvalidOptionError
from services.inference.rows.generation import Generation

MAX_BEAMS = 8
TEMPERATURES = (0.001, 1000)
REPETITION_PENALTIES = (0.01, 100)
LENGTH_PENALTIES = (-10, 10)

_EARLY_STOPPING: Mapping[int, bool | Literal["never"]] = {
    generation_pb2.EARLY_STOPPING_TRUE: True,
    generation_pb2.EARLY_STOPPING_FALSE: False,
    generation_pb2.EARLY_STOPPING_NEVER: "never",
}


def generation_of(options: generation_pb2.GenerationOptions) -> Generation:
    """The options for the engine; InvalidOptionError when one is wrong or two contradict."""
    _check_known("options", options)
    _check_numbers(options)
    _check_enums(options)
    _check_sampling(options)
    _check_contradictions(options)
    sampling = options.sampling if options.HasField("sampling") else None
    return Generation(
        priority="bulk" if options.priority == generation_pb2.PRIORITY_BULK else "interactive",
        max_new_tokens=options.max_new_tokens,
        min_new_tokens=_set(options, "min_new_tokens"),
        num_beams=_set(options, "num_beams"),
        length_penalty=_set(options, "length_penalty"),
        early_stopping=_EARLY_STOPPING.get(options.early_stopping),
        num_hypotheses=options.num_hypotheses,
        sample=None if sampling is None else True,
        temperature=None if sampling is None else _set(sampling, "temperature"),
        top_k=None if sampling is None else _set(sampling, "top_k"),
        top_p=None if sampling is None else _set(sampling, "top_p"),
        seed=None if sampling is None else _set(sampling, "seed"),
        no_repeat_ngram_size=_set(options, "no_repeat_ngram_size"),
        repetition_penalty=_set(options, "repetition_penalty"),
        stop_repetition=_set(options, "stop_repetition"),
        target_prefix=options.target_prefix,
        token_log_probs=options.token_log_probs,
    )


def _set(message: Message, name: str) -> Any:
    """The value of a field that is set, else None."""
    return getattr(message, name) if message.HasField(name) else None


def _check_known(field: str, message: Message) -> None:
    """An option of a later version must not be passed over as if it had been obeyed."""
    unknown = UnknownFieldSet(message)
    if len(unknown):
        number = unknown[0].field_number
        raise InvalidOptionError(
            f"{field} has an option that this server does not know (field number {number})",
            field=field,
        )


def _check_numbers(options: generation_pb2.GenerationOptions) -> None:
    _require(options.max_new_tokens >= 0, "max_new_tokens", "must not be negative")
    _require(options.min_new_tokens >= 0, "min_new_tokens", "must not be negative")
    if options.HasField("num_beams"):
        _check_beams("num_beams", options.num_beams, least=1)
    _check_beams("num_hypotheses", options.num_hypotheses, least=0)
    if options.HasField("length_penalty"):
        _check_span("length_penalty", options.length_penalty, LENGTH_PENALTIES)
    _require(options.no_repeat_ngram_size >= 0, "no_repeat_ngram_size", "must not be negative")
    if options.HasField("repetition_penalty"):
        _check_span("repetition_penalty", options.repetition_penalty, REPETITION_PENALTIES)


def _check_enums(options: generation_pb2.GenerationOptions) -> None:
    if options.priority not in generation_pb2.Priority.values():
        raise _wrong("priority", f"is {options.priority}, and there is no such priority")
    if options.early_stopping not in generation_pb2.EarlyStopping.values():
        raise _wrong("early_stopping", f"is {options.early_stopping}, and there is no such value")


def _check_sampling(options: generation_pb2.GenerationOptions) -> None:
    sampling = options.sampling
    _check_known("options.sampling", sampling)
    if sampling.HasField("temperature"):
        _check_span("sampling.temperature", sampling.temperature, TEMPERATURES)
    _require(sampling.top_k >= 0, "sampling.top_k", "must not be negative; 0 allows all tokens")
    if sampling.HasField("top_p") and not 0 < sampling.top_p <= 1:
        raise _wrong("sampling.top_p", f"must be above 0 and at most 1; it is {sampling.top_p:g}")


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


def _check_beams(name: str, value: int, least: int) -> None:
    if not least <= value <= MAX_BEAMS:
        raise _wrong(name, f"must be from {least} to {MAX_BEAMS}; it is {value}")


def _check_span(name: str, value: float, span: tuple[float, float]) -> None:
    if not span[0] <= value <= span[1]:
        raise _wrong(name, f"must be from {span[0]:g} to {span[1]:g}; it is {value:g}")


def _require(holds: bool, name: str, rule: str) -> None:
    if not holds:
        raise _wrong(name, rule)


def _wrong(name: str, rule: str) -> InvalidOptionError:
    return InvalidOptionError(f"options.{name} {rule}", field=f"options.{name}")
