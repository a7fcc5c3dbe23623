"""Parts that the results of all tasks share."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

One = TypeVar("One")


class FinishReason(StrEnum):
    """Why a generation ended, from the regular end to the worst; see `seqway.v1.FinishReason`."""

    UNSPECIFIED = "UNSPECIFIED"
    EOS = "EOS"
    LENGTH = "LENGTH"
    REPETITION = "REPETITION"
    CANCELLED = "CANCELLED"
    ERROR = "ERROR"


@dataclass(frozen=True, slots=True)
class TokenCounts:
    """Tokens of input and output, the ends of sequence included."""

    input: int
    output: int


@dataclass(frozen=True, slots=True)
class Timings:
    """The time of a call in seconds, as the gateway measured it.

    `queue` is the longest wait of a part; `first_token` and `total` count from the arrival.
    """

    queue: float
    first_token: float
    total: float


@dataclass(frozen=True, slots=True)
class TokenLogProb:
    """A token and the natural logarithm of its probability.

    `text` is empty for a special token and for a part of a character.
    """

    text: str
    id: int
    log_prob: float


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """One of several answers.

    `log_prob` is the sum over its tokens, the end of sequence included.  `score` is what answers
    are ranked by: with beams, `log_prob` over the length to the power of the length penalty, else
    `log_prob`.  `tokens` is empty unless the call asked for `token_log_probs`.
    """

    text: str
    score: float
    log_prob: float
    tokens: tuple[TokenLogProb, ...]


def only(answers: Sequence[One], instead: str) -> One:
    """The answer of a call that held one text; `ValueError` that points to `instead` otherwise."""
    if len(answers) != 1:
        raise ValueError(f"{len(answers)} texts were answered: use .{instead}")
    return answers[0]
