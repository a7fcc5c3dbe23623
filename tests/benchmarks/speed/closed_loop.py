"""Callers that wait for their answers: tokens a second with so many texts in flight."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.progress import Progress

from engine.training.corpus import Pair
from tests.benchmarks.speed.quality import AnswerQuality, answers_of, judge
from tests.benchmarks.speed.spread import Spread, spread
from tests.benchmarks.speed.workload import repeated
from tests.benchmarks.systems.system import System, in_turn, tokens_per_second

MOST_BEAMS_IN_FLIGHT = 64
_LEAST_ALONE = 8


@dataclass(frozen=True, slots=True)
class ClosedLoop:
    """How much is timed: `texts_each` that a caller translates, one after the other.

    One caller alone translates 8 at least. Of the sentences, `judged` are used to compare
    answers, of at most `judged_tokens`.
    """

    rounds: int
    in_flight: tuple[int, ...]
    texts_each: int
    max_new_tokens: int
    judged: int
    judged_tokens: int
    is_trained: bool


@dataclass(frozen=True, slots=True)
class Speeds:
    """Tokens a second of one system by texts in flight; settings where a sweep found them."""

    name: str
    beams: int
    quality: AnswerQuality
    tokens: dict[int, Spread]
    settings: dict[int, str]


def time_systems(
    systems: Sequence[System],
    oracle: System,
    pairs: Sequence[Pair],
    loop: ClosedLoop,
    console: Console,
) -> list[Speeds]:
    """The speeds of all systems; `oracle` computes the answers of FP32."""
    values: dict[str, dict[int, list[float]]] = {system.name: {} for system in systems}
    settings: dict[str, dict[int, str]] = {system.name: {} for system in systems}
    texts = [pair.source for pair in pairs]
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("timing", total=len(loop.in_flight))
        for in_flight in loop.in_flight:
            each = max(loop.texts_each, _LEAST_ALONE) if in_flight == 1 else loop.texts_each
            work = repeated(texts, each * in_flight)
            fitting = [each for each in systems if _fits(each, in_flight)]
            for system in fitting:
                system.prepare(work[: 2 * in_flight], in_flight, loop.max_new_tokens)
                settings[system.name][in_flight] = system.setting(in_flight)
                values[system.name][in_flight] = []
            for system in in_turn(fitting, loop.rounds):
                speed = tokens_per_second(system, work, in_flight, loop.max_new_tokens)
                values[system.name][in_flight].append(speed)
                progress.advance(task, 1 / (loop.rounds * len(fitting)))
            progress.update(task, completed=loop.in_flight.index(in_flight) + 1)
        progress.add_task("comparing answers", total=None)
        qualities = _judge_all(systems, oracle, pairs[: loop.judged], loop)
    return [
        Speeds(
            system.name,
            system.beams,
            qualities[system.name],
            {count: spread(speeds) for count, speeds in values[system.name].items()},
            {count: each for count, each in settings[system.name].items() if each},
        )
        for system in systems
    ]


def _fits(system: System, in_flight: int) -> bool:
    return system.beams == 1 or in_flight <= MOST_BEAMS_IN_FLIGHT


def _judge_all(
    systems: Sequence[System], oracle: System, pairs: Sequence[Pair], loop: ClosedLoop
) -> dict[str, AnswerQuality]:
    limit = loop.judged_tokens
    greedy = answers_of(oracle, [pair.source for pair in pairs], 1, limit)
    return {
        system.name: judge(system, pairs, greedy, limit, is_trained=loop.is_trained)
        for system in systems
    }
