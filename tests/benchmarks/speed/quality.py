"""What the answers of a system are worth: BLEU, and whose answers they equal."""

from collections.abc import Sequence
from dataclasses import dataclass

import sacrebleu

from engine.training.corpus import Pair
from tests.benchmarks.systems.system import System

BATCH = 32


@dataclass(frozen=True, slots=True)
class AnswerQuality:
    """Of one system, over the same sentences as every other.

    `bleu` is None where the model is random. `as_fp32` is the share of answers that equal the
    greedy ones of `transformers` in FP32, None for beams; `as_alone` is the share that does not
    change when each text is given alone instead of among 32.
    """

    bleu: float | None
    as_fp32: float | None
    as_alone: float


def judge(
    system: System,
    pairs: Sequence[Pair],
    greedy: Sequence[str],
    max_new_tokens: int,
    *,
    is_trained: bool,
) -> AnswerQuality:
    """Runs untimed; `greedy` are the answers of FP32."""
    sources = [pair.source for pair in pairs]
    together = answers_of(system, sources, BATCH, max_new_tokens)
    alone = answers_of(system, sources, 1, max_new_tokens)
    references = [[pair.target for pair in pairs]]
    return AnswerQuality(
        round(sacrebleu.corpus_bleu(together, references).score, 1) if is_trained else None,
        share_of_equal(together, greedy) if system.beams == 1 else None,
        share_of_equal(together, alone),
    )


def answers_of(
    system: System, sources: list[str], in_flight: int, max_new_tokens: int
) -> list[str]:
    """The texts of the answers, without spaces around."""
    answers = system.run(sources, in_flight, max_new_tokens)
    return [answer.text.strip() for answer in answers]


def share_of_equal(left: Sequence[str], right: Sequence[str]) -> float:
    """How many of two lists of answers to the same texts are equal, of one."""
    equal = [one == other for one, other in zip(left, right, strict=True)]
    return sum(equal) / len(equal)
