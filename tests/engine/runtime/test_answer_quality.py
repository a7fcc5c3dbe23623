"""The quality that the engine says of an answer, however it is decoded."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.contract.events import End, FinishReason
from engine.contract.manifest import MANIFEST_FILE, read_manifest
from engine.contract.quality import ExpectedLength, QualityModel, signals_of
from engine.runtime.engine import Engine, Settings
from tests.engine.caller import Caller, ends_of
from tests.engine.runtime.conftest import Served

TEXTS = ["A small text editor.", "This package contains the documentation."]
MODEL = QualityModel(
    bias=2.0,
    length=ExpectedLength(ratio=1.1, spread=1.3),
    weights={"doubt": 3.0, "worst": 0.4, "short": 0.3, "long": 0.2},
)


@pytest.fixture(scope="module")
def engine(trained: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """The trained model with a quality model."""
    files = tmp_path_factory.mktemp("quality") / "1"
    shutil.copytree(trained.folder, files)
    manifest = replace(read_manifest(files), quality_model=MODEL)
    (files / MANIFEST_FILE).write_text(manifest.to_json(), encoding="utf-8")
    running = Engine(files, Settings(1))
    running.start()
    yield running
    running.stop()


def answered(engine: Engine, **options: Any) -> list[End]:
    return ends_of(Caller(engine).send(TEXTS, token_log_probs=True, **options).finish())


def expected(end: End, forced: int = 0) -> float:
    """What the model says, by the tokens that the event lists; the first `forced` do not count."""
    signals = signals_of(
        [token.log_prob for token in end.tokens[forced:]],
        MODEL.length,
        source_tokens=end.input_tokens,
        answer_tokens=end.output_tokens,
        finished=end.finish_reason is FinishReason.EOS,
    )
    return MODEL.estimate(signals)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"stream": False},
        {"num_beams": 4, "num_hypotheses": 2},
        {"num_beams": 3, "no_repeat_ngram_size": 3},
        {"sample": True, "seed": 5},
        {"repetition_penalty": 1.2},
        {"alignment": True},
        {"max_new_tokens": 3},
    ],
)
def test_every_answer_says_it(engine: Engine, options: dict[str, Any]) -> None:
    ends = answered(engine, **options)
    assert len(ends) == len(TEXTS)
    for end in ends:
        assert end.quality == pytest.approx(expected(end), abs=2e-4)
        assert 0 < (end.quality or 0) < 1


def test_an_answer_that_the_limit_cuts_is_worth_less(engine: Engine) -> None:
    whole, cut = answered(engine), answered(engine, max_new_tokens=3)
    assert {end.finish_reason for end in cut} == {FinishReason.LENGTH}
    assert all((a.quality or 0) > (b.quality or 0) for a, b in zip(whole, cut, strict=True))


@pytest.mark.parametrize("beams", [1, 2])
def test_a_forced_prefix_counts_for_the_length_alone(engine: Engine, beams: int) -> None:
    for end in answered(engine, target_prefix="Ce paquet", num_beams=beams):
        forced = sum(1 for token in end.tokens if token.log_prob == 0.0)
        assert forced > 1
        assert end.quality == pytest.approx(expected(end, forced), abs=2e-4)


def test_what_is_broken_off_has_none(engine: Engine) -> None:
    caller = Caller(engine).send(TEXTS, name="broken", min_new_tokens=200, stop_repetition=False)
    caller.next()
    engine.cancel("broken")
    for end in ends_of(caller.finish()):
        assert end.finish_reason is FinishReason.CANCELLED
        assert end.output_tokens > 0
        assert end.quality is None


def test_a_variant_without_a_model_says_none(trained: Served) -> None:
    running = Engine(Path(trained.folder), Settings(1))
    running.start()
    try:
        assert [end.quality for end in answered(running)] == [None, None]
    finally:
        running.stop()
