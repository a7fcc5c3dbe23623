"""What can be drawn, against `transformers`' warpers, and how often it is."""

import itertools

import numpy as np
import pytest
import torch
import transformers

from engine.runtime.decoding.sampling import Sampler, distribution
from engine.runtime.decoding.selection import Floats, top
from engine.runtime.decoding.settings import Decoding


def _logits(seed: int, size: int) -> Floats:
    return np.random.default_rng(seed).normal(scale=3.0, size=size).astype(np.float32)


def _wanted(logits: Floats, temperature: float, top_k: int, top_p: float) -> Floats:
    scores = torch.from_numpy(logits)[None]
    ids = torch.zeros((1, 1), dtype=torch.int64)
    scores = transformers.TemperatureLogitsWarper(temperature)(ids, scores)
    if top_k:
        scores = transformers.TopKLogitsWarper(top_k)(ids, scores)
    if top_p < 1.0:
        scores = transformers.TopPLogitsWarper(top_p)(ids, scores)
    probabilities: Floats = scores.softmax(-1)[0].numpy()
    return probabilities


CASES = list(itertools.product([0.5, 1.0, 1.7], [0, 1, 5, 50], [0.1, 0.6, 0.95, 1.0], [40, 5000]))


@pytest.mark.parametrize(("temperature", "top_k", "top_p", "size"), CASES)
def test_the_distribution_is_that_of_transformers(
    temperature: float, top_k: int, top_p: float, size: int
) -> None:
    decoding = Decoding(9, sample=True, temperature=temperature, top_k=top_k, top_p=top_p)
    for seed in range(5):
        logits = _logits(seed, size)
        ids, probabilities = distribution(logits, decoding)
        made = np.zeros(size)
        made[ids] = probabilities
        assert np.abs(made - _wanted(logits, temperature, top_k, top_p)).max() < 1e-5


def test_tokens_that_equal_the_last_of_the_top_k_stay() -> None:
    logits = np.zeros(600, np.float32)
    logits[[3, 500, 599]] = [2.0, 1.0, 1.0]
    ids, probabilities = distribution(logits, Decoding(9, sample=True, top_k=2))
    assert sorted(ids.tolist()) == [3, 500, 599]
    assert probabilities.sum() == pytest.approx(1.0)


def test_tokens_are_drawn_as_often_as_they_are_probable() -> None:
    logits = _logits(3, 50)
    decoding = Decoding(9, sample=True, temperature=1.3, top_k=12, top_p=0.9)
    ids, probabilities = distribution(logits, decoding)
    sampler = Sampler(decoding, seed=5, index=0)
    draws = 20_000
    counts = np.bincount([sampler.draw(logits) for _ in range(draws)], minlength=50)
    assert counts.sum() == counts[ids].sum()
    deviations = (counts[ids] - draws * probabilities) / np.sqrt(draws * probabilities)
    assert float((deviations**2).sum()) < 35  # chi-square, 11 or fewer degrees: p < 0.001


def test_seed_and_index_say_what_is_drawn() -> None:
    logits, decoding = _logits(1, 3000), Decoding(9, sample=True, top_k=0)

    def draws(seed: int, index: int) -> list[int]:
        sampler = Sampler(decoding, seed, index)
        return [sampler.draw(logits) for _ in range(30)]

    assert draws(7, 0) == draws(7, 0)
    assert len({tuple(draws(seed, index)) for seed in (7, 2**64 - 1) for index in (0, 1)}) == 4


@pytest.mark.parametrize("size", [5, 100, 4000, 32_001])
@pytest.mark.parametrize("count", [1, 4, 16])
@pytest.mark.parametrize("kind", ["normal", "few", "flat"])
def test_top_is_the_head_of_a_stable_sort(size: int, count: int, kind: str) -> None:
    values = _logits(size, size)
    if kind == "few":
        values[3:] = -np.inf
    if kind == "flat":
        values = np.round(values)
    wanted = np.argsort(-values, kind="stable")[:count]
    assert top(values, count).tolist() == wanted.tolist()
