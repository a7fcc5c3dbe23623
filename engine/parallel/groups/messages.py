"""What the front and its ranks tell each other: MessagePack, one message a frame (`channel`).

Times are of Linux's monotonic clock, which all processes of a machine share.
"""

from typing import Any

import msgspec
from msgspec import Struct

from engine.contract.events import Event
from engine.parallel.layout import Layout
from engine.runtime.engine import Settings
from engine.runtime.request import RowPlan


class StartRank(Struct, tag=True, frozen=True):
    """The first message: which rank of its group the process is, and what it runs.

    It runs on `cores` alone; on all that it may use where there are none. The ranks of a group find
    each other by the file `store`.
    """

    folder: str
    settings: Settings
    layout: Layout
    rank: int
    store: str
    cores: tuple[int, ...]
    beat: float


class TakeRows(Struct, tag=True, frozen=True):
    """Rows of one request, by the index of their texts; `number` is never used again."""

    number: int
    options: dict[str, Any]
    rows: list[tuple[int, RowPlan]]


class CancelRows(Struct, tag=True, frozen=True):
    """Ends what still runs of a `TakeRows`."""

    number: int


class AskRound(Struct, tag=True, frozen=True):
    """Asks every lane to come round."""

    number: int


class StopRank(Struct, tag=True, frozen=True):
    """Ends what runs as CANCELLED, and the process."""


class RankLoaded(Struct, tag=True, frozen=True):
    """It takes rows from now on: so many at once, with so many tokens.

    `outputs` are those of the session's step.
    """

    outputs: frozenset[str]
    slots: int
    token_budget: int


class RowBegun(Struct, tag=True, frozen=True):
    """The encoder is about to read this row: from now on it may be what ends the process."""

    number: int
    index: int


class RowsSaid(Struct, tag=True, frozen=True):
    """Events of a `TakeRows`, with the indices of the texts."""

    number: int
    events: list[Event]


class RoundMade(Struct, tag=True, frozen=True):
    """Every lane has come round for an `AskRound`."""

    number: int


class RankBeat(Struct, tag=True, frozen=True):
    """The process lives. `rounds` grows whenever all its lanes have come round.

    `counts` are the numbers of `Gauges`, since the process began.
    """

    rounds: int
    counts: dict[str, int | float]
    first_token_seconds: list[float]


class RankLost(Struct, tag=True, frozen=True):
    """The last message of a rank that can't go on, and why."""

    reason: str


Command = StartRank | TakeRows | CancelRows | AskRound | StopRank
Report = RankLoaded | RowBegun | RowsSaid | RoundMade | RankBeat | RankLost
Message = Command | Report

_ENCODER = msgspec.msgpack.Encoder()
_DECODER: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)


def encode_message(message: Message) -> bytes:
    """The content of a frame."""
    return _ENCODER.encode(message)


def decode_message(content: bytes | memoryview) -> Message:
    """The message of a frame.

    Raises:
        msgspec.MsgspecError: it is none.

    """
    return _DECODER.decode(content)
