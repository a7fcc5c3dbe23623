"""What an engine says about the texts of a request; docs/triton-protocol.md is the contract."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from services.inference.errors import ModelFailedError


class FinishReason(IntEnum):
    """Why a generation ended, in rising order of severity; numbered as in seqway.v1."""

    EOS = 1
    LENGTH = 2
    CANCELLED = 3
    ERROR = 4


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


Event = Delta | End | TooLong | Refused | Ready


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
    )


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
