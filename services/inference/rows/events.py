"""What an engine says about the texts of a request; docs/triton-protocol.md is the contract."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from services.inference.errors import ModelFailedError, ServiceError


class FinishReason(IntEnum):
    """Why a generation ended, in rising order of severity."""

    EOS = 1
    LENGTH = 2
    REPETITION = 3
    CANCELLED = 4
    ERROR = 5


@dataclass(frozen=True, slots=True)
class Token:
    """A token of an answer; `text` is "" for a special token or a part of a character."""

    id: int
    text: str
    log_prob: float


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """One of the other answers; `score` is what answers are ranked by."""

    text: str
    score: float
    log_prob: float
    tokens: Sequence[Token] = ()


# The span of an output token in the answer, that of the source token which it attends to most, both
# in code points, and the weight: (target_start, target_end, source_start, source_end, weight).
Link = tuple[int, int, int, int, float]


@dataclass(frozen=True, slots=True)
class Delta:
    """More of the output of one text."""

    index: int
    text: str


@dataclass(frozen=True, slots=True)
class End:
    """One text is done; `text` is what no delta has brought."""

    index: int
    text: str
    finish_reason: FinishReason
    input_tokens: int
    output_tokens: int
    score: float
    queue_ms: float
    first_token_ms: float
    total_ms: float
    message: str
    log_prob: float = 0.0
    tokens: Sequence[Token] = ()
    alternatives: Sequence[Hypothesis] = ()
    alignment: Sequence[Link] = ()


@dataclass(frozen=True, slots=True)
class TooLong:
    """One text was refused: it has more tokens than the model takes."""

    index: int
    input_tokens: int
    limit: int


@dataclass(frozen=True, slots=True)
class Refused:
    """The whole request was refused, and nothing was run."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Ready:
    """The engine lives: the answer to a probe."""


@dataclass(frozen=True, slots=True)
class Lost:
    """Nothing more comes on the request, as the engine or the way to it broke.

    `begun` tells that the engine may have been at work on it.
    """

    error: ServiceError
    begun: bool


Event = Delta | End | TooLong | Refused | Ready | Lost


def parse_events(payload: bytes) -> list[Event]:
    """The events of one response; ModelFailedError when they break the contract."""
    try:
        return [_PARSERS[event["type"]](event) for event in json.loads(payload)]
    except (KeyError, TypeError, ValueError) as error:
        detail = f"the engine sent events that break the protocol ({type(error).__name__})"
        raise ModelFailedError(detail) from None


def _delta(event: Mapping[str, Any]) -> Delta:
    return Delta(event["i"], event["text"])


def _end(event: Mapping[str, Any]) -> End:
    return End(
        index=event["i"],
        text=event.get("text", ""),
        finish_reason=FinishReason[event["finish_reason"]],
        input_tokens=event.get("input_tokens", 0),
        output_tokens=event.get("output_tokens", 0),
        score=event.get("score", 0.0),
        queue_ms=event.get("queue_ms", 0.0),
        first_token_ms=event.get("first_token_ms", 0.0),
        total_ms=event.get("total_ms", 0.0),
        message=event.get("message", ""),
        log_prob=event.get("log_prob", 0.0),
        tokens=_tokens(event),
        alternatives=[_hypothesis(each) for each in event.get("alternatives") or ()],
        alignment=[_link(*each) for each in event.get("alignment") or ()],
    )


def _tokens(answer: Mapping[str, Any]) -> list[Token]:
    return [Token(*each) for each in answer.get("tokens") or ()]


def _hypothesis(answer: Mapping[str, Any]) -> Hypothesis:
    return Hypothesis(answer["text"], answer["score"], answer["log_prob"], _tokens(answer))


def _link(target_start: int, target_end: int, start: int, end: int, weight: float) -> Link:
    return target_start, target_end, start, end, weight


def _too_long(event: Mapping[str, Any]) -> TooLong:
    return TooLong(event["i"], event["input_tokens"], event["limit"])


def _refused(event: Mapping[str, Any]) -> Refused:
    return Refused(event["reason"], event.get("message", ""))


def _ready(_: Mapping[str, Any]) -> Ready:
    return Ready()


_PARSERS: Mapping[str, Callable[[Mapping[str, Any]], Event]] = {
    "delta": _delta,
    "end": _end,
    "too_long": _too_long,
    "refused": _refused,
    "ready": _ready,
}
