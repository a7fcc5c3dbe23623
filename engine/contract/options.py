"""What a caller asks of the engine, and which values each option may have.

docs/decoding.md explains the options of the decoding. A new one is a line here, a field of
`GenerationOptions` where the public API has it too, and what the engine does with it.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Annotated, Any, Literal, get_type_hints

MAX_BEAMS = 8
MAX_SEED = 2**64 - 1

EarlyStopping = bool | Literal["never"]


class InvalidOptionsError(ValueError):
    """A request's options are wrong; `option` is the one at fault, "" where no single one is."""

    def __init__(self, message: str, option: str = "") -> None:
        super().__init__(message)
        self.option = option


def wrong(option: str, rule: str) -> InvalidOptionsError:
    """The error of an option that breaks a rule, such as "needs sample: true"."""
    return InvalidOptionsError(f"{option} {rule}", option)


@dataclass(frozen=True)
class Values:
    """The values that an option may have: `words` says which, after "must be"."""

    words: str
    accept: Callable[[Any], bool]

    def complaint(self, value: Any) -> str:
        """What is wrong with a value, to follow the option's name; "" when nothing is."""
        if self.accept(value):
            return ""
        quoted = "" if isinstance(value, list | dict) else f", not {value!r}"
        return f"must be {self.words}{quoted}"


def whole(least: int, most: float = math.inf) -> Values:
    """Whole numbers in a range."""
    span = f"from {least} to {most}" if most < math.inf else f"of at least {least}"
    return Values(
        f"a whole number {span}",
        lambda value: _is(value, int) and least <= value <= most,
    )


def number(least: float, most: float) -> Values:
    """Finite numbers in a range."""
    return Values(
        f"a number from {least} to {most}",
        lambda value: _is(value, int | float) and least <= value <= most,
    )


def fraction() -> Values:
    """Numbers above 0 and up to 1."""
    return Values(
        "a number above 0 and at most 1", lambda value: _is(value, int | float) and 0 < value <= 1
    )


def flag() -> Values:
    """True or false."""
    return Values("true or false", lambda value: isinstance(value, bool))


def text() -> Values:
    """Strings."""
    return Values("a string", lambda value: isinstance(value, str))


def one_of(words: str, *values: Any) -> Values:
    """Some values and no others; 1 is not true here."""
    known = [(type(value), value) for value in values]
    return Values(words, lambda value: any(isinstance(value, k) and value == v for k, v in known))


def each(values: Values, plural: str) -> Values:
    """One value for all texts, or a list with one for each."""
    return Values(
        f"{values.words} or a list of {plural}",
        lambda value: all(map(values.accept, value if isinstance(value, list) else [value])),
    )


def values_of(kind: type) -> Mapping[str, Values]:
    """What stands in the annotations of a class's fields."""
    hints = get_type_hints(kind, include_extras=True)
    return {name: hint.__metadata__[0] for name, hint in hints.items()}


def check(raw: Mapping[str, Any], known: Mapping[str, Values]) -> None:
    """Checks options as they came in a request.

    Raises:
        InvalidOptionsError: an option is unknown, of the wrong type, or out of its range.

    """
    for name, value in raw.items():
        if name not in known:
            raise InvalidOptionsError(f"unknown option {name!r}", name)
        if complaint := known[name].complaint(value):
            raise wrong(name, complaint)


def _is(value: Any, kind: Any) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


class Priority(StrEnum):
    """The two classes of work: interactive rows are admitted before bulk ones."""

    INTERACTIVE = "interactive"
    BULK = "bulk"


@dataclass(frozen=True, slots=True)
class Options:
    """The options of a request; None is unset: the manifest's default holds, then the built-in one.

    `max_new_tokens` 0 is the model's limit, `deadline_ms` 0 is none. `target_prefix` and `seed` may
    be lists with one entry for each text. Beyond its range a number's scores overflow. On the wire
    an absent `stream` is true.
    """

    stream: Annotated[bool, flag()] = False
    priority: Annotated[Priority, one_of('"interactive" or "bulk"', "interactive", "bulk")] = (
        Priority.INTERACTIVE
    )
    max_new_tokens: Annotated[int | None, whole(0)] = None
    min_new_tokens: Annotated[int | None, whole(0)] = None
    num_beams: Annotated[int | None, whole(1, MAX_BEAMS)] = None
    length_penalty: Annotated[float | None, number(-10, 10)] = None
    early_stopping: Annotated[
        EarlyStopping | None, one_of('true, false or "never"', True, False, "never")
    ] = None
    num_hypotheses: Annotated[int | None, whole(1, MAX_BEAMS)] = None
    sample: Annotated[bool | None, flag()] = None
    temperature: Annotated[float | None, number(0.001, 1000)] = None
    top_k: Annotated[int | None, whole(0)] = None
    top_p: Annotated[float | None, fraction()] = None
    seed: Annotated[int | list[int] | None, each(whole(0, MAX_SEED), "these")] = None
    no_repeat_ngram_size: Annotated[int | None, whole(0)] = None
    repetition_penalty: Annotated[float | None, number(0.01, 100)] = None
    stop_repetition: Annotated[bool, flag()] = True
    target_prefix: Annotated[str | list[str], each(text(), "strings")] = ""
    source_language: Annotated[str, text()] = ""
    target_language: Annotated[str, text()] = ""
    tenant: Annotated[str, text()] = ""
    deadline_ms: Annotated[int, whole(0)] = 0
    token_ids: Annotated[bool, flag()] = False
    token_log_probs: Annotated[bool, flag()] = False
    alignment: Annotated[bool, flag()] = False

    def as_dict(self) -> dict[str, Any]:
        """What is set, as a request's OPTIONS; whether to stream is always said."""
        values = ((each, getattr(self, each.name)) for each in fields(self))
        chosen = {each.name: value for each, value in values if value != each.default}
        return chosen | {"stream": self.stream}


OPTIONS = values_of(Options)
"""Which values each option may have."""


def parse_options(raw: Mapping[str, Any]) -> Options:
    """Validates the options of a request, each by itself: contradictions are `resolve`'s.

    Raises:
        InvalidOptionsError: an option is unknown, of the wrong type, or out of its range.

    """
    check(raw, OPTIONS)
    priority = Priority(raw.get("priority", Priority.INTERACTIVE))
    return Options(**{"stream": True, **raw, "priority": priority})


def take_traceparents(options: dict[str, Any], texts: int) -> list[str]:
    """Takes `traceparent` out of the options: one for each text, empty when there is none.

    A trace must not fail what it looks at: what is not as it should be is ignored.
    """
    given = options.pop("traceparent", None)
    if isinstance(given, str):
        return [given] * texts
    if isinstance(given, list) and len(given) == texts:
        return [each if isinstance(each, str) else "" for each in given]
    return []
