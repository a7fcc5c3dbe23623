"""What a caller asks of the decoding, and its validation; docs/decoding.md lists every option."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Any, Literal

MAX_BEAMS = 8
MAX_SEED = 2**64 - 1

EarlyStopping = bool | Literal["never"]


class InvalidOptionsError(ValueError):
    """A request's options are wrong; the message names the option."""


class Priority(IntEnum):
    """The two classes of work; the lower number is served first."""

    INTERACTIVE = 0
    BULK = 1


@dataclass(frozen=True)
class Options:
    """The options of a request; None is unset: the manifest's default holds, then the built-in one.

    `max_new_tokens` 0 is the model's limit, `deadline_ms` 0 is none. `target_prefix` and `seed` may
    be lists with one entry for each text.
    """

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
    priority: Priority = Priority.INTERACTIVE
    tenant: str = ""
    stream: bool = True
    deadline_ms: int = 0
    token_ids: bool = False
    token_log_probs: bool = False
    alignment: bool = False


_WHOLE = {
    "max_new_tokens": (0, math.inf),
    "min_new_tokens": (0, math.inf),
    "num_beams": (1, MAX_BEAMS),
    "num_hypotheses": (1, MAX_BEAMS),
    "top_k": (0, math.inf),
    "no_repeat_ngram_size": (0, math.inf),
    "deadline_ms": (0, math.inf),
}
# Beyond these, single-precision scores overflow.
_NUMBERS = {
    "temperature": (0.001, 1000),
    "repetition_penalty": (0.01, 100),
    "length_penalty": (-10, 10),
    "top_p": (0, 1),
}
_FLAGS = ("sample", "stop_repetition", "stream", "token_ids", "token_log_probs", "alignment")
_TEXTS = ("source_language", "target_language", "tenant")


def parse_options(raw: Mapping[str, Any]) -> Options:
    """Validates the options of a request, each by itself: contradictions are `resolve`'s.

    Raises:
        InvalidOptionsError: an option is unknown, of the wrong type, or out of its range.

    """
    known = {field.name for field in fields(Options)}
    for name, value in raw.items():
        if name not in known:
            raise InvalidOptionsError(f"unknown option {name!r}")
        _check(name, value)
    priority = Priority[raw.get("priority", "interactive").upper()]
    return Options(**{**raw, "priority": priority})


def _check(name: str, value: Any) -> None:
    if name in _WHOLE:
        _check_whole(name, value, *_WHOLE[name])
    elif name in _FLAGS:
        if not isinstance(value, bool):
            raise InvalidOptionsError(f"{name} must be true or false, not {value!r}")
    elif name in _TEXTS:
        if not isinstance(value, str):
            raise InvalidOptionsError(f"{name} must be a string, not {value!r}")
    elif name in _NUMBERS:
        _check_number(name, value, *_NUMBERS[name])
    elif name == "early_stopping":
        if not (isinstance(value, bool) or value == "never"):
            raise InvalidOptionsError(f'{name} must be true, false or "never", not {value!r}')
    elif name == "priority":
        if value not in ("interactive", "bulk"):
            raise InvalidOptionsError(f'{name} must be "interactive" or "bulk", not {value!r}')
    elif name == "seed":
        for seed in value if isinstance(value, list) else [value]:
            _check_whole(name, seed, 0, MAX_SEED)
    else:
        assert name == "target_prefix", name
        if not all(isinstance(text, str) for text in (value if _is_list(value) else [value])):
            raise InvalidOptionsError(f"{name} must be a string or a list of strings")


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


def _check_whole(name: str, value: Any, lowest: float, highest: float) -> None:
    if isinstance(value, int) and not isinstance(value, bool) and lowest <= value <= highest:
        return
    span = f"from {lowest} to {highest}" if highest < math.inf else f"of at least {lowest}"
    raise InvalidOptionsError(f"{name} must be a whole number {span}, not {value!r}")


def _check_number(name: str, value: Any, lowest: float, highest: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InvalidOptionsError(f"{name} must be a finite number, not {value!r}")
    if name == "top_p" and not 0 < value <= 1:
        raise InvalidOptionsError(f"{name} must be above 0 and at most 1, not {value!r}")
    if not lowest <= value <= highest:
        raise InvalidOptionsError(f"{name} must be from {lowest} to {highest}, not {value!r}")
