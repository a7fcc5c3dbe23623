"""What a caller asks of the engine, and the events that answer it.

The events' `as_dict` is the form in which they leave Triton (docs/triton-protocol.md).
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from engine.runtime.decoding.options import (
    InvalidOptionsError,
    Options,
    Priority,
    parse_options,
)

__all__ = [
    "Alternative",
    "Delta",
    "End",
    "Event",
    "FinishReason",
    "InvalidOptionsError",
    "Link",
    "Options",
    "Priority",
    "Ready",
    "Refused",
    "Request",
    "Sink",
    "Token",
    "TooLong",
    "parse_options",
]

Token = tuple[int, str, float]
"""A token's id, the text that it adds to the answer, its log-probability."""

Link = tuple[int, int, int, int, float]
"""A span of the answer, the span of the text that it came from, in code points, and a weight."""


class FinishReason(StrEnum):
    """Why a row ended."""

    EOS = "EOS"
    LENGTH = "LENGTH"
    REPETITION = "REPETITION"
    CANCELLED = "CANCELLED"
    ERROR = "ERROR"


class Event:
    """Something that happened to a request."""

    type: str

    def as_dict(self) -> dict[str, Any]:
        """The event as it is sent."""
        return {"type": self.type, **asdict(self)}  # type: ignore[call-overload]


@dataclass(frozen=True)
class Delta(Event):
    """More text of answer `i`."""

    i: int
    text: str
    type = "delta"


@dataclass(frozen=True)
class Alternative:
    """One of the other hypotheses of a beam search."""

    text: str
    score: float
    log_prob: float
    token_ids: tuple[int, ...] = ()
    tokens: tuple[Token, ...] = ()


@dataclass(frozen=True)
class End(Event):
    """Answer `i` is done. `text` is what no delta has brought; times are from arrival.

    It took `slots` of the running batch for `steps` steps, behind the encoder, which was done at
    `encoded_ms`; all three are 0 of a row that never ran.

    `score` is what ranks hypotheses, `log_prob` the sum over the answer's tokens. The lists are
    empty unless their options ask for them.
    """

    i: int
    finish_reason: FinishReason
    input_tokens: int
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
    type = "end"


@dataclass(frozen=True)
class TooLong(Event):
    """Text `i` has more tokens than the model takes; nothing was run for it."""

    i: int
    input_tokens: int
    limit: int
    type = "too_long"


@dataclass(frozen=True)
class Refused(Event):
    """The whole request was refused; nothing was run."""

    reason: str
    message: str
    type = "refused"


@dataclass(frozen=True)
class Ready(Event):
    """The answer to a request without texts."""

    type = "ready"


Sink = Callable[[list[Event], bool], None]
"""Takes the events of a request as they happen; the flag is true with the last ones."""


@dataclass(eq=False)
class Request:
    """Some texts, one row each. `sink` is called from the lanes' threads, one at a time."""

    id: str
    texts: Sequence[str]
    options: Options
    sink: Sink
    open_rows: int = field(default=0, init=False)
    last_flush: float = field(default=0.0, init=False)
    _emitting: threading.Lock = field(default_factory=threading.Lock, init=False)

    def emit(self, events: list[Event], ended: int = 0) -> None:
        """Hands events to the sink; `ended` rows end with them, and the last to end is told."""
        with self._emitting:
            self.open_rows -= ended
            self.sink(events, self.open_rows == 0)
