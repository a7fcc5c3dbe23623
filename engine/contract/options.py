"""What a caller asks of the decoding, with every range; docs/decoding.md explains each option."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any, Literal

MAX_BEAMS = 8
MAX_SEED = 2**64 - 1

EarlyStopping = bool | Literal["never"]


class InvalidOptionsError(ValueError):
    """A request's options are wrong; `option` names the one at fault, "" where none is."""

    def __init__(self, message: str, option: str = "") -> None:
        super().__init__(message)
        self.option = option


def wrong(option: str, rule: str) -> InvalidOptionsError:
    """The error of an option that breaks a rule, such as "must not be negative"."""
    return InvalidOptionsError(f"{option} {rule}", option)


class Priority(StrEnum):
    """The two classes of work: interactive rows are admitted before bulk ones."""

    INTERACTIVE = "interactive"
    BULK = "bulk"


@dataclass(frozen=True, slots=True)
class Options:
    """The options of a request; None is unset: the manifest's default holds, then the built-in one.

    `max_new_tokens` 0 is the model's limit, `deadline_ms` 0 is none. `target_prefix` and `seed` may
    be lists with one entry for each text. On the wire an absent `stream` is true.
    """

    stream: bool = False
    priority: Priority = Priority.INTERACTIVE
    max_new_tokens: int | None = None
    min_new_tokens: int | None = None
    num_beams: int | None = None
    length_penalty: float | None = None
    early_stopping: EarlyStopping | None = None
    num_hypotheses: int | None = None
    sample: bool | None = None
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    seed: int | list[int] | None = None
    no_repeat_ngram_size: int | None = None
    repetition_penalty: float | None = None
    stop_repetition: bool = True
    target_prefix: str | list[str] = ""
    source_language: str = ""
    target_language: str = ""
    tenant: str = ""
    deadline_ms: int = 0
    token_ids: bool = False
    token_log_probs: bool = False
    alignment: bool = False

    def as_dict(self) -> dict[str, Any]:
        """What is set, as a request's OPTIONS; whether to stream is always said."""
        values = ((each, getattr(self, each.name)) for each in fields(self))
        chosen = {each.name: value for each, value in values if value != each.default}
        return chosen | {"stream": self.stream}


# Beyond the bounds of the penalties and the temperature, single-precision scores overflow.
RANGES: Mapping[str, tuple[float, float]] = {
    "max_new_tokens": (0, math.inf),
    "min_new_tokens": (0, math.inf),
    "num_beams": (1, MAX_BEAMS),
    "num_hypotheses": (1, MAX_BEAMS),
    "length_penalty": (-10, 10),
    "temperature": (0.001, 1000),
    "top_k": (0, math.inf),
    "top_p": (0, 1),
    "seed": (0, MAX_SEED),
    "no_repeat_ngram_size": (0, math.inf),
    "repetition_penalty": (0.01, 100),
    "deadline_ms": (0, math.inf),
}
"""The lowest and the highest value of each number; `top_p` is above its lowest."""

_REAL = {"length_penalty", "temperature", "top_p", "repetition_penalty"}
_FLAGS = {"sample", "stop_repetition", "stream", "token_ids", "token_log_probs", "alignment"}
_TEXTS = {"source_language", "target_language", "tenant", "target_prefix"}
_LISTS = {"seed", "target_prefix"}


def parse_options(raw: Mapping[str, Any]) -> Options:
    """Validates the options of a request, each by itself: contradictions are `resolve`'s.

    Raises:
        InvalidOptionsError: an option is unknown, of the wrong type, or out of its range.

    """
    known = {field.name for field in fields(Options)}
    for name, value in raw.items():
        if name not in known:
            raise InvalidOptionsError(f"unknown option {name!r}")
        check_option(name, value)
    priority = Priority(raw.get("priority", Priority.INTERACTIVE))
    return Options(**{"stream": True, **raw, "priority": priority})


def check_option(name: str, value: Any) -> None:
    """Validates one option by itself.

    Raises:
        InvalidOptionsError: it is of the wrong type or out of its range.

    """
    if name in _LISTS and isinstance(value, list):
        for each in value:
            check_option(name, each)
    elif name in RANGES:
        _check_number(name, value)
    elif name in _FLAGS:
        if not isinstance(value, bool):
            raise wrong(name, f"must be true or false; it is {value!r}")
    elif name in _TEXTS:
        if not isinstance(value, str):
            many = " or a list of strings" if name in _LISTS else ""
            raise wrong(name, f"must be a string{many}; it is {value!r}")
    elif name == "early_stopping":
        if not (isinstance(value, bool) or value == "never"):
            raise wrong(name, f'must be true, false or "never"; it is {value!r}')
    elif value not in [*Priority]:
        raise wrong(name, f'must be "interactive" or "bulk"; it is {value!r}')


def _check_number(name: str, value: Any) -> None:
    real = name in _REAL
    if isinstance(value, bool) or not isinstance(value, int | float if real else int):
        raise wrong(name, f"must be a {'' if real else 'whole '}number; it is {value!r}")
    lowest, highest = RANGES[name]
    if name == "top_p":
        if not lowest < value <= highest:
            raise wrong(name, f"must be above 0 and at most 1; it is {value:g}")
    elif not lowest <= value <= highest:
        if highest == math.inf:
            raise wrong(name, f"must not be negative; it is {value}")
        span = f"from {lowest} to {highest}"
        raise wrong(name, f"must be {span}; it is {f'{value:g}' if real else value}")
