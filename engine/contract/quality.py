"""How good an answer is likely to be, as a number, from what decoding says of it alone.

A few coefficients, which an import fits to sentence chrF (`engine.export.confidence`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

MOST_NATS = 100.0
"""A token that was made against the model may be impossible to it; no probability is so low."""


@dataclass(frozen=True)
class Signals:
    """What speaks against an answer; each is 0 or more.

    `doubt` is the square root of the mean probability, over its tokens, that the model gives to
    others; of an answer without an end of sequence, tokens that are missing to the expected length
    count as wrong. `worst` is the square root of the least probable token's negative
    log-probability, in nats. `short` and `long` say by how many spreads the answer misses its
    expected length.
    """

    doubt: float
    worst: float
    short: float
    long: float


@dataclass(frozen=True)
class ExpectedLength:
    """How many tokens an answer has: `ratio` for each of the source, give or take.

    The variance is `spread`² for each token of the source (Gale & Church 1993, J93-1004).
    """

    ratio: float
    spread: float

    def missing(self, source_tokens: int, answer_tokens: int) -> float:
        """How many tokens an answer lacks."""
        return max(0.0, self.ratio * source_tokens - answer_tokens)

    def deviation(self, source_tokens: int, answer_tokens: int) -> float:
        """By how many spreads an answer is longer than expected; negative: shorter."""
        source = max(1, source_tokens)
        return (answer_tokens - self.ratio * source) / (self.spread * math.sqrt(source))


@dataclass(frozen=True)
class QualityModel:
    """Logistic in `Signals`, so that the estimate falls with each of them and is from 0 to 1.

    `weights` are by signal, none below 0; that of a signal unknown to this version counts for
    nothing. It was fitted on `fitted_pairs`; on `held_out_pairs` others its estimates and sentence
    chrF had the rank correlation `spearman`.
    """

    bias: float
    length: ExpectedLength
    weights: dict[str, float] = field(default_factory=dict)
    fitted_pairs: int = 0
    held_out_pairs: int = 0
    spearman: float = 0.0

    def estimate(self, signals: Signals) -> float:
        """The sentence chrF, from 0 to 1, that an answer with these signals is expected to have."""
        against = sum(weight * getattr(signals, name, 0.0) for name, weight in self.weights.items())
        score = self.bias - against
        return 1 / (1 + math.exp(-max(-60.0, min(60.0, score))))


def signals_of(
    log_probs: Sequence[float],
    length: ExpectedLength,
    *,
    source_tokens: int,
    answer_tokens: int,
    finished: bool,
) -> Signals:
    """The signals of an answer.

    Args:
        log_probs: natural log-probabilities of the tokens that the model chose, at least one.
        length: what is expected.
        source_tokens: as `End.input_tokens`.
        answer_tokens: as `End.output_tokens`, forced tokens included.
        finished: whether the answer ends with the end of sequence.

    """
    deviation = length.deviation(source_tokens, answer_tokens)
    missing = 0.0 if finished else length.missing(source_tokens, answer_tokens)
    wrong = sum(1 - math.exp(min(0.0, each)) for each in log_probs) + missing
    return Signals(
        doubt=math.sqrt(wrong / (len(log_probs) + missing)),
        worst=math.sqrt(min(MOST_NATS, max(0.0, -min(log_probs)))),
        short=max(0.0, -deviation),
        long=max(0.0, deviation),
    )
