"""What a caller asks of the decoding; docs/decoding.md explains each option.

A new option is a line here, a field of `GenerationOptions` where the public API has it too, and
what the engine does with it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Annotated, Any, Literal

from engine.contract.values import (
    check,
    each,
    flag,
    fraction,
    number,
    one_of,
    text,
    values_of,
    whole,
)

MAX_BEAMS = 8
MAX_SEED = 2**64 - 1

EarlyStopping = bool | Literal["never"]


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
