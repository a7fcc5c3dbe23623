"""Fits the quality model of a variant to the answers that it gave to a test set.

The estimate is a logistic regression of sentence chrF, which is a share, by quasi-likelihood
(Papke & Wooldridge 1996, doi:10.1002/(SICI)1099-1255(199611)11:6<619::AID-JAE418>3.0.CO;2-1), with
no weight below 0: whatever speaks against an answer never raises its estimate.

Real answers seldom have a wrong length, so the weights of lengths are learned with damaged ones
among them. Those of log-probabilities and the bias are then fitted to the real ones alone, to which
the estimate is to be true.
"""

import logging
from collections.abc import Sequence
from dataclasses import astuple, fields, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.stats import spearmanr

from engine.contract.quality import QualityModel, Signals
from engine.export.confidence.samples import Sample, ScoredAnswer, expected_length, is_held_out

logger = logging.getLogger(__name__)

Array = NDArray[np.float64]

FEWEST_PAIRS = 200
LEAST_SPEARMAN = 0.3
"""The rank correlation on held-out pairs below which an estimate would say too little."""

PENALTY = 1e-6
"""Of the squares of the weights: where signals tell nothing, the weights stay finite."""

NAMES = tuple(each.name for each in fields(Signals))
LEARNED_FROM_REAL = 2
"""`Signals` begins with so many that are learned from real answers alone."""


def fit_quality_model(name: str, answers: Sequence[ScoredAnswer]) -> QualityModel | None:
    """The model of variant `name`, from its answers to a test set; None, and why, is logged.

    It is fitted on one half and checked on the other, see `is_held_out`.
    """
    if len(answers) < FEWEST_PAIRS:
        logger.info(
            "%s: no confidence of answers: the test set has %d texts and %d are needed",
            *(name, len(answers), FEWEST_PAIRS),
        )
        return None
    held_out = [answer for answer in answers if is_held_out(answer.pair)]
    fitted = [answer for answer in answers if not is_held_out(answer.pair)]
    if min(len(held_out), len(fitted)) < FEWEST_PAIRS // 4:
        logger.info("%s: no confidence of answers: too many texts of the test set are equal", name)
        return None
    model = fit(fitted)
    samples = [answer.sample(model.length) for answer in held_out]
    spearman = rank_correlation(
        [model.estimate(sample.signals) for sample in samples], [sample.chrf for sample in samples]
    )
    said = f"a rank correlation of {spearman:.2f} with chrF on {len(held_out)} held-out texts"
    if not spearman >= LEAST_SPEARMAN:
        logger.info(
            "%s: no confidence of answers: it has %s and %s is needed", name, said, LEAST_SPEARMAN
        )
        return None
    logger.info("%s: confidence of answers has %s", name, said)
    return replace(model, held_out_pairs=len(held_out), spearman=round(spearman, 4))


def fit(answers: Sequence[ScoredAnswer]) -> QualityModel:
    """The model that fits `answers` best; what it is worth on others is not looked at."""
    length = expected_length(answers)
    real = [answer.sample(length) for answer in answers]
    damaged = [sample for answer in answers for sample in answer.damaged(length)]
    every = [*real, *damaged]
    _, weights = fit_logistic(_signals(every), _chrf(every))
    signals, lengths = _signals(real), weights[LEARNED_FROM_REAL:]
    known = -signals[:, LEARNED_FROM_REAL:] @ lengths
    bias, own = fit_logistic(signals[:, :LEARNED_FROM_REAL], _chrf(real), known)
    values = [round(value, 5) for value in (*own.tolist(), *lengths.tolist())]
    return QualityModel(
        bias=round(bias, 5),
        length=length,
        weights=dict(zip(NAMES, values, strict=True)),
        fitted_pairs=len(answers),
    )


def rank_correlation(estimates: Sequence[float], chrf: Sequence[float]) -> float:
    """Spearman's; 0 where one of both is the same for all."""
    if len(set(estimates)) < 2 or len(set(chrf)) < 2:
        return 0.0
    return float(spearmanr(estimates, chrf).statistic)


def fit_logistic(signals: Array, shares: Array, known: Array | None = None) -> tuple[float, Array]:
    """Bias and weights `[K]`, none below 0, of the likeliest logistic model of `shares [N]`.

    Its score is the bias less `signals [N,K]` times the weights, and what is `known [N]` of it.
    """
    offset = np.zeros(len(shares)) if known is None else known

    def loss(values: Array) -> tuple[float, Array]:
        bias, weights = values[0], values[1:]
        scores = offset + bias - signals @ weights
        wrong = 1 / (1 + np.exp(-scores)) - shares
        gradient = np.concatenate([[wrong.mean()], -(signals.T @ wrong) / len(shares)])
        gradient[1:] += 2 * PENALTY * weights
        unlikely = (np.logaddexp(0, scores) - shares * scores).mean()
        return unlikely + PENALTY * (weights**2).sum(), gradient

    count = signals.shape[1]
    bounds = [(None, None), *[(0, None)] * count]
    found = minimize(loss, np.zeros(1 + count), jac=True, method="L-BFGS-B", bounds=bounds)
    return float(found.x[0]), found.x[1:]


def _signals(samples: Sequence[Sample]) -> Array:
    return np.array([astuple(sample.signals) for sample in samples], np.float64)


def _chrf(samples: Sequence[Sample]) -> Array:
    return np.array([sample.chrf for sample in samples], np.float64)
