"""Which values an option may have: one check for all who take it, and the words for it."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, get_type_hints


class InvalidOptionsError(ValueError):
    """A request's options are wrong; `option` is the one at fault, "" where no single one is."""

    def __init__(self, message: str, option: str = "") -> None:
        super().__init__(message)
        self.option = option


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


def wrong(option: str, rule: str) -> InvalidOptionsError:
    """The error of an option that breaks a rule, such as "needs sample: true"."""
    return InvalidOptionsError(f"{option} {rule}", option)


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
