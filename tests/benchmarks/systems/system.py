"""What a benchmark asks of a system: translate texts, with so many of them in flight."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

THREADS = 2
_PAUSE_SECONDS = 0.3


@dataclass(frozen=True, slots=True)
class Answer:
    """A translation, and its tokens with the end of sequence."""

    text: str
    tokens: int


class System(Protocol):
    """One way to translate, from text to text.

    `slow` ones are timed in one round only.
    """

    name: str
    beams: int
    slow: bool

    def prepare(self, texts: list[str], in_flight: int, max_new_tokens: int) -> None:
        """Warms up for so many in flight; finds the best setting, where there is a choice."""

    def setting(self, in_flight: int) -> str:
        """The setting that `prepare` found; empty without a choice."""

    def run(self, texts: list[str], in_flight: int, max_new_tokens: int) -> list[Answer]:
        """Translates all texts; the answers are in their order."""


class WarmedUp:
    """A system without a choice of settings."""

    beams = 1
    slow = False

    def prepare(self, texts: list[str], in_flight: int, max_new_tokens: int) -> None:
        """See `System`."""
        self.run(texts, in_flight, max_new_tokens)

    def setting(self, _in_flight: int) -> str:
        """See `System`."""
        return ""

    def run(self, texts: list[str], in_flight: int, max_new_tokens: int) -> list[Answer]:
        """See `System`."""
        raise NotImplementedError


def in_turn(systems: Sequence[System], rounds: int) -> Iterator[System]:
    """Who is to be timed next: all, round after round, but slow ones in the first only.

    So a machine whose speed drifts is fair to all.
    """
    for turn in range(rounds):
        for system in systems:
            if turn == 0 or not system.slow:
                # The threads of some systems go on spinning after their answer.
                time.sleep(_PAUSE_SECONDS)
                yield system


def tokens_per_second(
    system: System, texts: list[str], in_flight: int, max_new_tokens: int
) -> float:
    """One timed run."""
    began = time.perf_counter()
    answers = system.run(texts, in_flight, max_new_tokens)
    return sum(answer.tokens for answer in answers) / (time.perf_counter() - began)


def texts_per_second(
    system: System, texts: list[str], in_flight: int, max_new_tokens: int
) -> float:
    """One timed run."""
    began = time.perf_counter()
    system.run(texts, in_flight, max_new_tokens)
    return len(texts) / (time.perf_counter() - began)


def with_beams(name: str, beams: int) -> str:
    """The name of a system that searches with so many beams."""
    return name if beams == 1 else f"{name}, {beams} beams"
