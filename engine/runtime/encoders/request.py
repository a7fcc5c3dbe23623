"""What a caller asks of an encoder."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from engine.contract.options import check, flag, values_of, whole


@dataclass(frozen=True)
class EncoderOptions:
    """How a text is read and, with a span head, how many answers are wanted.

    `stride` is how many tokens two windows of a long text share; none: the engine's own choice. A
    `probe` is answered at once and its text is not looked at.
    """

    stride: Annotated[int | None, whole(0, 1 << 20)] = None
    top_k: Annotated[int, whole(1, 100)] = 1
    max_answer_tokens: Annotated[int, whole(1, 512)] = 30
    probe: Annotated[bool, flag()] = False


OPTIONS = values_of(EncoderOptions)
SPAN_OPTIONS = ("top_k", "max_answer_tokens")


def parse_encoder_options(raw: Mapping[str, Any], *, spans: bool) -> EncoderOptions:
    """Validates the options of one text; some are for heads that mark `spans` only.

    Raises:
        InvalidOptionsError: an option is unknown, of the wrong type, or out of its range.

    """
    known = {name: OPTIONS[name] for name in OPTIONS if spans or name not in SPAN_OPTIONS}
    check(raw, known)
    return EncoderOptions(**raw)


@dataclass(frozen=True)
class EncoderItem:
    """One text; a span head also takes a `question` about it."""

    text: str
    question: str = ""
    options: EncoderOptions = EncoderOptions()
