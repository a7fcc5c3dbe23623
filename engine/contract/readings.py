"""What an encoder says about an element: the `RESULT` of a classifier or a span head."""

from typing import Literal

import msgspec
from msgspec import Struct


class Logits(Struct, tag_field="type", tag="logits", frozen=True):
    """One logit for each label, averaged over the text's `windows`.

    `input_tokens` counts the text's tokens and the special ones around them once.
    """

    logits: tuple[float, ...]
    windows: int
    input_tokens: int


class SpanAnswer(Struct, frozen=True):
    """Code points `start` to `end` of the context, and the probability of that span."""

    start: int
    end: int
    score: float


class Spans(Struct, tag_field="type", tag="spans", frozen=True):
    """The most probable answers, best first, and the probability that there is none."""

    answers: tuple[SpanAnswer, ...]
    no_answer_score: float
    windows: int
    input_tokens: int


class Failure(Struct, tag_field="type", tag="error", frozen=True):
    """The element was refused or failed; its neighbours are not affected."""

    reason: Literal["INVALID_OPTIONS", "TOO_LONG", "FAILED"]
    message: str = ""


class EncoderReady(Struct, tag_field="type", tag="ready", frozen=True):
    """The answer to a probe."""


Reading = Logits | Spans | Failure | EncoderReady

_ENCODER = msgspec.json.Encoder()
_DECODER: msgspec.json.Decoder[Reading] = msgspec.json.Decoder(Reading)


def encode_reading(reading: Reading) -> bytes:
    """The result of one element, as UTF-8 JSON."""
    return _ENCODER.encode(reading)


def decode_reading(payload: bytes) -> Reading:
    """The result of one element.

    Raises:
        msgspec.MsgspecError: it breaks the protocol.

    """
    return _DECODER.decode(payload)
