"""What the engine says about the texts of a request: the `EVENTS` of a generating variant."""

from enum import StrEnum

import msgspec
from msgspec import Struct, field


class FinishReason(StrEnum):
    """Why a row ended, in rising order of severity."""

    EOS = "EOS"
    LENGTH = "LENGTH"
    REPETITION = "REPETITION"
    CANCELLED = "CANCELLED"
    ERROR = "ERROR"


_SEVERITY = {reason: severity for severity, reason in enumerate(FinishReason)}


def worst(*reasons: FinishReason) -> FinishReason:
    """The most severe of the reasons for which the parts of an answer ended."""
    return max(reasons, key=_SEVERITY.__getitem__)


class Token(Struct, array_like=True, frozen=True):
    """A token of an answer; `text` is "" for a special token or a part of a character."""

    id: int
    text: str
    log_prob: float


Link = tuple[int, int, int, int, float]
"""Which part of the source a token attends to most.

The token's span in the answer, the span in the source, both in code points, and the weight:
(target_start, target_end, source_start, source_end, weight).
"""


class Alternative(Struct, frozen=True):
    """One of the other hypotheses of a beam search; `score` is what ranks them."""

    text: str
    score: float
    log_prob: float
    token_ids: tuple[int, ...] = ()
    tokens: tuple[Token, ...] = ()


class Delta(Struct, tag_field="type", tag="delta", frozen=True):
    """More of the answer to the text at `index`."""

    index: int = field(name="i")
    text: str


class End(Struct, tag_field="type", tag="end", frozen=True):
    """The answer to the text at `index` is complete. `text` is what no delta has brought.

    Times are in milliseconds from the request's arrival. The row took `slots` of the running batch
    for `steps` steps after the encoder, which was done at `encoded_ms`; all three are 0 of a row
    that never ran.

    `score` is what ranks hypotheses, `log_prob` the sum over the answer's tokens. `quality` is what
    the variant's `QualityModel` expects of the answer, from 0 to 1; None without such a model, and
    of an answer that was broken off. The lists are empty unless their options ask for them. `lost`
    tells that the row ran when its process lost its GPU, and may be why: the process ends.
    """

    index: int = field(name="i")
    finish_reason: FinishReason
    input_tokens: int = 0
    text: str = ""
    output_tokens: int = 0
    score: float = 0.0
    queue_ms: float = 0.0
    encoded_ms: float = 0.0
    first_token_ms: float = 0.0
    total_ms: float = 0.0
    steps: int = 0
    slots: int = 0
    message: str = ""
    log_prob: float = 0.0
    token_ids: tuple[int, ...] = ()
    tokens: tuple[Token, ...] = ()
    alternatives: tuple[Alternative, ...] = ()
    alignment: tuple[Link, ...] = ()
    quality: float | None = None
    lost: bool = False


class TooLong(Struct, tag_field="type", tag="too_long", frozen=True):
    """The text at `index` has more tokens than the model takes; nothing was run for it."""

    index: int = field(name="i")
    input_tokens: int
    limit: int


class RefusalReason(StrEnum):
    """Why an engine of this version refuses a request."""

    INVALID_OPTIONS = "INVALID_OPTIONS"
    """An option is unknown, out of its range, or contradicts another one or the model."""
    QUEUE_FULL = "QUEUE_FULL"
    """Too many rows run and wait: the same request may be taken later."""


class Refused(Struct, tag_field="type", tag="refused", frozen=True):
    """The whole request was refused; nothing was run.

    `reason` is a `RefusalReason`, or what a newer engine says. `option` names the option that is at
    fault, "" where none is or an older engine did not say.
    """

    reason: str
    message: str = ""
    option: str = ""


class Ready(Struct, tag_field="type", tag="ready", frozen=True):
    """The answer to a request without texts."""


Event = Delta | End | TooLong | Refused | Ready

_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(list[Event])


def encode_events(events: list[Event]) -> bytes:
    """The events of one response, as UTF-8 JSON."""
    return _ENCODER.encode(events)


def decode_events(payload: bytes) -> list[Event]:
    """The events of one response.

    Raises:
        msgspec.MsgspecError: they break the protocol.

    """
    return _DECODER.decode(payload)
