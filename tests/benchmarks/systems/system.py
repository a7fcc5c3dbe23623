"""What a benchmark asks of a system: translate texts, with so many of them in flight."""

import time
from dataclasses import dataclass
from typing import Protocol

THREADS = 2


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
