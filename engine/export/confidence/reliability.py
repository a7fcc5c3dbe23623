"""How far the estimates of a quality model can be trusted, on answers that it was not fitted to."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.contract.events import End, FinishReason
from engine.contract.manifest import Manifest
from engine.contract.quality import QualityModel, signals_of
from engine.export.confidence.fit import rank_correlation
from engine.export.confidence.given_answers import GivenAnswer, log_probs_of
from engine.export.confidence.samples import FEWEST_TOKENS, is_held_out, sentence_chrf
from engine.export.report.answers import count_tokens
from engine.runtime.batch import TextAnswer
from engine.runtime.decoding.settings import greedy_decoding
from engine.training.corpus import Pair

BINS = 10
DAMAGED = 100
"""Answers that are damaged, in each way."""


@dataclass(frozen=True)
class ReliabilityBin:
    """Answers with estimates that are alike: their number, mean estimate and mean chrF."""

    answers: int
    estimate: float
    chrf: float


@dataclass(frozen=True)
class DamageCheck:
    """Of `cases` answers that were made worse in one way, `lower` have a lower estimate."""

    damage: str
    cases: int
    lower: int


@dataclass(frozen=True)
class Reliability:
    """The estimates of `held_out` answers beside their sentence chrF.

    `spearman` is their rank correlation, `error` the mean over `bins` of how far estimate and chrF
    are apart, weighted by answers (the expected calibration error).
    """

    held_out: int
    spearman: float
    error: float
    bins: list[ReliabilityBin]
    damages: list[DamageCheck]


def measure_reliability(
    files: Path, manifest: Manifest, pairs: Sequence[Pair], answers: Sequence[TextAnswer]
) -> Reliability | None:
    """Of the variant in `files`, by its greedy `answers` to `pairs`, which list their token ids.

    None where it estimates nothing, or no pair is held out.
    """
    found = [
        (pair, answer)
        for pair, answer in zip(pairs, answers, strict=True)
        if is_held_out(pair) and answer.end.quality is not None
    ]
    if manifest.quality_model is None or not found:
        return None
    estimates = [answer.end.quality or 0.0 for _, answer in found]
    chrf = [sentence_chrf(answer.text, pair.target) for pair, answer in found]
    bins = reliability_bins(estimates, chrf)
    return Reliability(
        held_out=len(found),
        spearman=rank_correlation(estimates, chrf),
        error=sum(one.answers * abs(one.estimate - one.chrf) for one in bins) / len(found),
        bins=bins,
        damages=_damages(files, manifest, manifest.quality_model, found),
    )


def reliability_bins(estimates: Sequence[float], chrf: Sequence[float]) -> list[ReliabilityBin]:
    """The answers in order of their estimates, in up to `BINS` groups of about the same size."""
    order = np.argsort(np.array(estimates), kind="stable")
    groups = np.array_split(order, min(BINS, order.size))
    return [
        ReliabilityBin(
            group.size,
            float(np.mean([estimates[index] for index in group])),
            float(np.mean([chrf[index] for index in group])),
        )
        for group in groups
    ]


def _damages(
    files: Path,
    manifest: Manifest,
    model: QualityModel,
    found: Sequence[tuple[Pair, TextAnswer]],
) -> list[DamageCheck]:
    """The checks of whole answers that can be doubled within the model's limits."""
    kept = [one for one in found if _can_be_damaged(manifest, one[1].end)][:DAMAGED]
    return [_check(files, manifest, model, kept, name, damage) for name, damage in _DAMAGES.items()]


def _can_be_damaged(manifest: Manifest, end: End) -> bool:
    return (
        end.finish_reason is FinishReason.EOS
        and FEWEST_TOKENS <= len(end.token_ids) <= manifest.max_target_tokens // 2
        and FEWEST_TOKENS <= end.input_tokens <= manifest.max_source_tokens // 2
    )


Damage = Callable[[str, list[int]], tuple[str, list[int]]]
"""A source and the tokens of its answer, without forced and special ones, before and after."""

_DAMAGES: dict[str, Damage] = {
    "answer doubled": lambda source, tokens: (source, tokens + tokens),
    "answer cut to its half": lambda source, tokens: (source, tokens[: len(tokens) // 2]),
    "source doubled, answer as it was": lambda source, tokens: (f"{source} {source}", tokens),
    "source cut to its half, answer as it was": lambda source, tokens: (_half(source), tokens),
}


def _half(source: str) -> str:
    """The first half of a text, up to the end of a word where it has several."""
    words = source.split()
    return " ".join(words[: len(words) // 2]) if len(words) > 1 else source[: len(source) // 2]


def _check(
    files: Path,
    manifest: Manifest,
    model: QualityModel,
    found: Sequence[tuple[Pair, TextAnswer]],
    name: str,
    damage: Damage,
) -> DamageCheck:
    forced = int(greedy_decoding(manifest).forced_bos_id is not None)
    given = []
    for pair, answer in found:
        ids = list(answer.end.token_ids)
        source, tokens = damage(pair.source, ids[forced:-1])
        given.append(GivenAnswer(source, [*ids[:forced], *tokens, ids[-1]]))
    lengths = count_tokens(files, [one.source for one in given])
    lower = 0
    for one, log_probs, length, (_, answer) in zip(
        given, log_probs_of(files, given), lengths, found, strict=True
    ):
        signals = signals_of(
            log_probs[forced:],
            model.length,
            source_tokens=length,
            answer_tokens=len(one.tokens),
            finished=True,
        )
        lower += model.estimate(signals) < (answer.end.quality or 0.0)
    return DamageCheck(name, len(given), lower)
