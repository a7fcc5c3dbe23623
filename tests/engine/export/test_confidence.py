"""What quality models learn, and that they know a damaged answer."""

import logging
import math
import os
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.contract.events import End, FinishReason, Token
from engine.contract.manifest import Manifest, decode_manifest, read_manifest
from engine.contract.quality import ExpectedLength, QualityModel, Signals, signals_of
from engine.export.confidence.fit import FEWEST_PAIRS, fit, fit_logistic, fit_quality_model
from engine.export.confidence.given_answers import GivenAnswer, log_probs_of
from engine.export.confidence.reliability import measure_reliability, reliability_bins
from engine.export.confidence.samples import ScoredAnswer, is_held_out, scored
from engine.export.report.answers import generate
from engine.runtime.batch import TextAnswer
from engine.training.corpus import Pair, load_pairs

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "model_repository" / "en-fr_int8" / "1"
PAIRS = ROOT / "examples" / "data" / "en-fr.test.jsonl"

MODEL = QualityModel(
    bias=2.0,
    length=ExpectedLength(ratio=1.0, spread=1.0),
    weights={"doubt": 3.0, "worst": 0.4, "short": 0.3, "long": 0.2},
)


def answer(rng: random.Random, index: int, *, noise: float) -> ScoredAnswer:
    """An answer whose chrF falls with the doubt of its tokens, give or take `noise`."""
    tokens = rng.randint(6, 30)
    level = rng.random()
    log_probs = [-rng.random() * level for _ in range(tokens)]
    doubt = sum(1 - math.exp(each) for each in log_probs) / tokens
    chrf = min(1.0, max(0.0, 0.95 - doubt + rng.gauss(0, noise)))
    words = [Token(n, f" w{rng.randint(0, 999)}", each) for n, each in enumerate(log_probs)]
    end = End(
        index=0,
        finish_reason=FinishReason.EOS,
        input_tokens=tokens + rng.randint(-2, 2),
        output_tokens=tokens,
        tokens=tuple(words),
    )
    text = "".join(word.text for word in words)
    return ScoredAnswer(Pair(f"source {index}", text.strip()), end, chrf)


def answers(count: int, noise: float = 0.05) -> list[ScoredAnswer]:
    rng = random.Random(5)
    return [answer(rng, index, noise=noise) for index in range(count)]


def test_the_fit_finds_the_weights_that_made_the_shares() -> None:
    rng = np.random.default_rng(3)
    signals = rng.random((2000, 3))
    shares = 1 / (1 + np.exp(-(1.5 - signals @ np.array([2.0, 0.0, 0.7]))))
    bias, weights = fit_logistic(signals, shares)
    assert bias == pytest.approx(1.5, abs=0.01)
    assert weights == pytest.approx([2.0, 0.0, 0.7], abs=0.01)


def test_what_is_known_is_not_learned_again() -> None:
    rng = np.random.default_rng(3)
    signals, known = rng.random((2000, 1)), rng.random(2000)
    shares = 1 / (1 + np.exp(-(0.5 + known - signals @ np.array([1.2]))))
    bias, weights = fit_logistic(signals, shares, known)
    assert (bias, *weights) == pytest.approx((0.5, 1.2), abs=0.01)


def test_a_signal_that_goes_with_better_answers_gets_no_weight() -> None:
    signals = np.linspace(0, 1, 500)[:, None]
    _, weights = fit_logistic(signals, signals[:, 0])
    assert weights.tolist() == [0.0]


def test_a_model_is_fitted_on_one_half_and_checked_on_the_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    every = answers(400)
    model = fit_quality_model("m", every)
    assert model is not None
    held_out = sum(is_held_out(each.pair) for each in every)
    assert (model.fitted_pairs, model.held_out_pairs) == (400 - held_out, held_out)
    assert model.spearman > 0.8
    assert model.weights["doubt"] > 0 and model.weights["short"] > 0
    assert f"correlation of {model.spearman:.2f} with chrF on {held_out} held-out" in caplog.text
    alone = fit([each for each in every if not is_held_out(each.pair)])
    assert alone == replace(model, held_out_pairs=0, spearman=0.0)


@pytest.mark.parametrize(
    ("every", "reason"),
    [
        (answers(FEWEST_PAIRS - 1), "the test set has 199 texts and 200 are needed"),
        (answers(300, noise=50), "and 0.3 is needed"),
    ],
)
def test_no_model_is_kept_that_would_say_too_little(
    every: list[ScoredAnswer], reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    assert fit_quality_model("m", every) is None
    assert [reason in record.getMessage() for record in caplog.records] == [True]


def test_estimates_are_shares_that_fall_with_every_signal() -> None:
    for low in (0.0, 0.3, 5.0):
        start = Signals(*[low] * 4)
        for name in MODEL.weights:
            steps = [replace(start, **{name: low + more}) for more in (0.0, 0.1, 1.0, 1e6)]
            found = [MODEL.estimate(each) for each in steps]
            assert found == sorted(found, reverse=True) and found[0] > found[-1]
            assert all(0 <= each <= 1 for each in found)


def test_signals_say_what_speaks_against_an_answer() -> None:
    length = ExpectedLength(ratio=1.0, spread=0.5)
    found = signals_of(
        [math.log(0.5), 0.0], length, source_tokens=4, answer_tokens=2, finished=True
    )
    expected = (math.sqrt(0.25), math.sqrt(math.log(2)), 2.0, 0.0)
    assert tuple(vars(found).values()) == pytest.approx(expected)
    impossible = signals_of([-math.inf], length, source_tokens=4, answer_tokens=8, finished=True)
    assert tuple(vars(impossible).values()) == pytest.approx((1.0, 10.0, 0.0, 4.0))


def test_what_an_unfinished_answer_lacks_counts_as_wrong() -> None:
    length = ExpectedLength(ratio=1.5, spread=1.0)
    found = signals_of([0.0, 0.0], length, source_tokens=4, answer_tokens=2, finished=False)
    assert found.doubt == pytest.approx(math.sqrt(4 / 6))
    longer = signals_of([0.0] * 8, length, source_tokens=4, answer_tokens=8, finished=False)
    assert longer.doubt == 0


def test_an_answer_is_damaged_in_three_ways() -> None:
    [whole] = answers(1)
    count = whole.end.output_tokens
    length = ExpectedLength(1.0, 1.0)
    real = whole.sample(length)
    stopped, cut, doubled = whole.damaged(length)
    assert stopped.signals.short > cut.signals.short > real.signals.short
    assert stopped.signals.doubt > 0.5
    assert doubled.signals.long > count / 2 / math.sqrt(count + 2)
    assert doubled.signals.doubt == cut.signals.doubt == real.signals.doubt
    assert stopped.chrf == cut.chrf < doubled.chrf < 1
    unfinished = replace(whole, end=_ended(whole.end, FinishReason.LENGTH))
    assert unfinished.damaged(length) == []


def _ended(end: End, reason: FinishReason) -> End:
    fields = {name: getattr(end, name) for name in end.__struct_fields__}
    return End(**{**fields, "finish_reason": reason})


def test_forced_tokens_do_not_count(repository: Path) -> None:
    manifest = read_manifest(repository / "pegasus_fp32" / "1")
    forcing = replace(manifest, forced_bos_ids={"": 7})
    tokens = (Token(7, "", 0.0), Token(9, "a", -1.0))
    end = End(0, FinishReason.EOS, 3, output_tokens=2, tokens=tokens)
    pairs, made = [Pair("a b", "a")], [TextAnswer("a", end)]
    assert [each.log_probs for each in scored(forcing, pairs, made)] == [[-1.0]]
    assert [each.log_probs for each in scored(manifest, pairs, made)] == [[0.0, -1.0]]
    only = [TextAnswer("", End(0, FinishReason.LENGTH, 3, output_tokens=1, tokens=tokens[:1]))]
    assert scored(forcing, pairs, only) == []


def test_an_end_that_is_forced_at_the_limit_is_no_end() -> None:
    tokens = tuple(Token(7, "a", -1.0) for _ in range(8))
    end = End(0, FinishReason.EOS, 30, output_tokens=8, tokens=tokens)
    pair, length = Pair("a", "a b"), ExpectedLength(1.0, 1.0)
    ended, forced = ScoredAnswer(pair, end, 0.5), ScoredAnswer(pair, end, 0.5, forced=(7,))
    assert ended.is_whole and not forced.is_whole
    assert forced.damaged(length) == []
    assert forced.sample(length).signals.doubt > ended.sample(length).signals.doubt


def test_a_manifest_carries_the_model_and_old_ones_have_none(repository: Path) -> None:
    manifest = read_manifest(repository / "pegasus_fp32" / "1")
    assert manifest.quality_model is None
    with_model = replace(manifest, quality_model=MODEL)
    assert decode_manifest(with_model.to_json()) == with_model
    old = replace(manifest).to_json().replace('"quality_model": null, ', "")
    assert "quality_model" not in old
    assert decode_manifest(old) == manifest


def test_bins_hold_answers_of_like_estimates() -> None:
    estimates = [index / 100 for index in range(100)]
    bins = reliability_bins(estimates[::-1], [each**2 for each in estimates[::-1]])
    assert [one.answers for one in bins] == [10] * 10
    assert [one.estimate for one in bins] == pytest.approx([0.045 + n / 10 for n in range(10)])
    assert bins[-1].chrf == pytest.approx(np.mean([each**2 for each in estimates[90:]]))
    assert len(reliability_bins([0.5, 0.6], [0.5, 0.6])) == 2


def test_an_answer_that_is_given_is_as_probable_as_when_it_was_chosen(variant: Path) -> None:
    texts = [pair.source for pair in load_pairs(PAIRS)[:40] if len(pair.source) < 100]
    made = generate(variant, texts, num_beams=1, token_log_probs=True, stop_repetition=False)
    given = [
        GivenAnswer(text, [token.id for token in one.end.tokens])
        for text, one in zip(texts, made, strict=True)
    ]
    assert len(given) > 20
    for one, found in zip(made, log_probs_of(variant, given), strict=True):
        assert found == pytest.approx([token.log_prob for token in one.end.tokens], abs=2e-3)


@pytest.fixture
def example() -> Manifest:
    if not EXAMPLE.is_dir():
        if os.environ.get("CI"):
            pytest.fail("model_repository/en-fr_int8 is not there: `make models` writes it")
        pytest.skip("`make models` writes the variant that this test needs")
    return read_manifest(EXAMPLE)


def test_the_example_knows_its_good_answers_and_its_damaged_ones(example: Manifest) -> None:
    """On pairs that it was not fitted to."""
    assert example.quality_model is not None
    assert example.quality_model.spearman >= 0.4
    pairs = [pair for pair in load_pairs(PAIRS) if is_held_out(pair)][:200]
    made = generate(EXAMPLE, [pair.source for pair in pairs], token_ids=True, num_beams=1)
    found = measure_reliability(EXAMPLE, example, pairs, made)
    assert found is not None
    assert found.held_out == 200
    assert found.spearman >= 0.4
    assert found.error < 0.1
    assert [check.cases for check in found.damages] == [100] * 4
    lower = [check.lower for check in found.damages]
    of_answers, of_sources = lower[:2], lower[2:]
    assert sum(of_answers) >= 180 and sum(of_sources) >= 180, found.damages


def test_a_variant_without_a_model_has_no_reliability(repository: Path) -> None:
    files = repository / "pegasus_fp32" / "1"
    assert measure_reliability(files, read_manifest(files), [], []) is None
