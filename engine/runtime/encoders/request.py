"""What a caller asks of an encoder."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from engine.contract.options import InvalidOptionsError, wrong


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
            rule = f"must be a whole number from {least} to {most}; it is {value!r}"
            raise wrong(name, rule)
    if not isinstance(raw.get("probe", False), bool):
        raise wrong("probe", f"must be true or false; it is {raw['probe']!r}")
    return EncoderOptions(**raw)


@dataclass(frozen=True)
class EncoderItem:
    """One text; a span head also takes a `question` about it."""

    text: str
    question: str = ""
    options: EncoderOptions = EncoderOptions()
