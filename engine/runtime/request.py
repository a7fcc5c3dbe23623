"""What a caller asks of the engine, and the events that answer it.

The events' `as_dict` is the form in which they leave Triton (docs/triton-protocol.md).
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from enum import IntEnum, StrEnum
from typing import Any


class InvalidOptionsError(ValueError):
    """A request's options are wrong; the message names the option."""


class Priority(IntEnum):
    """The two classes of work; the lower number is served first."""

    INTERACTIVE = 0
    BULK = 1


class FinishReason(StrEnum):
    """Why a row ended."""

    EOS = "EOS"
    LENGTH = "LENGTH"
    CANCELLED = "CANCELLED"
    ERROR = "ERROR"


@dataclass(frozen=True)
class Options:
    """How to decode; `max_new_tokens` 0 is the model's limit, `deadline_ms` 0 is none.

    With `token_ids` the closing event of an answer lists its tokens.
    """

    max_new_tokens: int = 0
    priority: Priority = Priority.INTERACTIVE
    stream: bool = True
    deadline_ms: int = 0
    token_ids: bool = False


def parse_options(raw: Mapping[str, Any]) -> Options:
    """Validates the options of a request.

    Raises:
        InvalidOptionsError: an option is unknown, of the wrong type, or negative.

    """
    unknown = set(raw) - {field.name for field in fields(Options)}
    if unknown:
        raise InvalidOptionsError(f"unknown option {sorted(unknown)[0]!r}")
    for name in ("max_new_tokens", "deadline_ms"):
        value = raw.get(name, 0)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise InvalidOptionsError(f"{name} must be a whole number of at least 0, not {value!r}")
    for name in ("stream", "token_ids"):
        if not isinstance(raw.get(name, True), bool):
            raise InvalidOptionsError(f"{name} must be true or false, not {raw[name]!r}")
    priority = raw.get("priority", "interactive")
    if priority not in ("interactive", "bulk"):
        raise InvalidOptionsError(f'priority must be "interactive" or "bulk", not {priority!r}')
    return Options(
        max_new_tokens=raw.get("max_new_tokens", 0),
        priority=Priority[priority.upper()],
        stream=raw.get("stream", True),
        deadline_ms=raw.get("deadline_ms", 0),
        token_ids=raw.get("token_ids", False),
    )


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
class End(Event):
    """Answer `i` is done. `text` is what no delta has brought; times are from arrival."""

    i: int
    text: str
    finish_reason: FinishReason
    input_tokens: int
    output_tokens: int
    score: float
    queue_ms: float
    first_token_ms: float
    total_ms: float
    message: str = ""
    token_ids: tuple[int, ...] = ()
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
