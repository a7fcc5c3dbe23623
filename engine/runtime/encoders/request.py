"""What a caller asks of an encoder, and the results that answer it.

The results' `as_dict` is the form in which they leave Triton (docs/triton-protocol.md).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from engine.runtime.request import InvalidOptionsError


@dataclass(frozen=True)
class EncoderOptions:
    """How a text is read and, with a span head, how many answers are wanted.

    `stride` is how many tokens two windows of a long text share; none: the engine's own choice. A
    `probe` is answered at once and its text is not looked at.
    """

    stride: int | None = None
    top_k: int = 1
    max_answer_tokens: int = 30
    probe: bool = False


LIMITS = {"stride": (0, 1 << 20), "top_k": (1, 100), "max_answer_tokens": (1, 512)}
SPAN_OPTIONS = ("top_k", "max_answer_tokens")


def parse_encoder_options(raw: Mapping[str, Any], *, spans: bool) -> EncoderOptions:
    """Validates the options of one text; some are for heads that mark `spans` only.

    Raises:
        InvalidOptionsError: an option is unknown, of the wrong type, or out of its range.

    """
    known = {field.name for field in fields(EncoderOptions)} - (set() if spans else {*SPAN_OPTIONS})
    unknown = sorted(set(raw) - known)
    if unknown:
        raise InvalidOptionsError(f"unknown option {unknown[0]!r}")
    for name, (least, most) in LIMITS.items():
        value = raw.get(name, least)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise InvalidOptionsError(
                f"{name} must be a whole number from {least} to {most}, not {value!r}"
            )
    if not isinstance(raw.get("probe", False), bool):
        raise InvalidOptionsError(f"probe must be true or false, not {raw['probe']!r}")
    return EncoderOptions(**raw)


@dataclass(frozen=True)
class EncoderItem:
    """One text; a span head also takes a `question` about it."""

    text: str
    question: str = ""
    options: EncoderOptions = EncoderOptions()


class Result:
    """The answer to one item."""

    type: str

    def as_dict(self) -> dict[str, Any]:
        """The result as it is sent."""
        return {"type": self.type, **asdict(self)}  # type: ignore[call-overload]


@dataclass(frozen=True)
class Logits(Result):
    """One logit for each label, averaged over the text's `windows`.

    `input_tokens` counts the text's tokens and the special ones around them once.
    """

    logits: tuple[float, ...]
    windows: int
    input_tokens: int
    type = "logits"


@dataclass(frozen=True)
class SpanAnswer:
    """Code points `start` to `end` of the context, and the probability of that span."""

    start: int
    end: int
    score: float


@dataclass(frozen=True)
class Spans(Result):
    """The most probable answers, best first, and the probability that there is none."""

    answers: tuple[SpanAnswer, ...]
    no_answer_score: float
    windows: int
    input_tokens: int
    type = "spans"


@dataclass(frozen=True)
class Failure(Result):
    """The item was refused or failed; its neighbours were not touched by it."""

    reason: Literal["INVALID_OPTIONS", "TOO_LONG", "FAILED"]
    message: str
    type = "error"


@dataclass(frozen=True)
class EncoderReady(Result):
    """The answer to a probe."""

    type = "ready"
