"""Texts a second by the length of the source."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tests.benchmarks.speed.spread import Spread, spread
from tests.benchmarks.systems.system import System, in_turn, texts_per_second

IN_FLIGHT = 8
_SEED = 11


@dataclass(frozen=True, slots=True)
class LengthSpeeds:
    """Texts a second of one system by tokens of the source."""

    name: str
    texts: dict[int, Spread]


def text_of(length: int, words: Sequence[str], count: Callable[[str], int], seed: int) -> str:
    """Words in any order, as many as fit in so many tokens by `count`, at least one."""
    chance = random.Random(seed)
    text = chance.choice(words)
    while count(longer := f"{text} {chance.choice(words)}") <= length:
        text = longer
    return text


def texts_of(
    length: int, number: int, words: Sequence[str], count: Callable[[str], int]
) -> list[str]:
    """So many different texts of one length, always the same."""
    return [text_of(length, words, count, _SEED + index) for index in range(number)]


def time_lengths(
    systems: Sequence[System],
    texts: Mapping[int, list[str]],
    rounds: int,
    max_new_tokens: int,
) -> list[LengthSpeeds]:
    """All systems in turn, round after round, with 8 texts in flight."""
    found: dict[str, dict[int, Spread]] = {system.name: {} for system in systems}
    for length, work in texts.items():
        speeds: dict[str, list[float]] = {system.name: [] for system in systems}
        for system in systems:
            system.prepare(work[: 2 * IN_FLIGHT], IN_FLIGHT, max_new_tokens)
        for system in in_turn(systems, rounds):
            speed = texts_per_second(system, work, IN_FLIGHT, max_new_tokens)
            speeds[system.name].append(speed)
        for name, values in speeds.items():
            found[name][length] = spread(values)
    return [LengthSpeeds(name, by_length) for name, by_length in found.items()]
