"""Every option that searches, alone and mixed, against `transformers`: tokens, order, scores."""

import itertools
import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.contract.events import End, FinishReason
from engine.contract.options import Options
from engine.runtime.batch import run_texts
from engine.runtime.batching.scheduler import Limits
from engine.runtime.engine import Engine, Settings
from engine.runtime.text.vocabulary import load_vocabulary
from tests.engine.conftest import read_sources
from tests.engine.runtime.conftest import Served
from tests.engine.runtime.oracle import Oracle

TEXTS = sorted((text for text in read_sources(300) if 60 < len(text) < 160), key=len)[::12][:10]

GRID: dict[str, list[Any]] = {
    "num_beams": [1, 2, 4, 8],
    "length_penalty": [0.0, 0.6, 1.0, 2.0, -1.0],
    "early_stopping": [False, True, "never"],
    "no_repeat_ngram_size": [0, 1, 2, 3],
    "repetition_penalty": [1.0, 1.3, 0.8],
    "max_new_tokens": [1, 7, 24],
    "min_new_tokens": [0, 5],
}


def _random_options(seed: int) -> dict[str, Any]:
    chance = random.Random(seed)
    options = {name: chance.choice(values) for name, values in GRID.items()}
    options["min_new_tokens"] = min(options["min_new_tokens"], options["max_new_tokens"])
    options["num_hypotheses"] = chance.randint(1, options["num_beams"])
    return options


def _without(name: str, options: dict[str, Any]) -> dict[str, Any]:
    return {other: value for other, value in options.items() if other != name}


class Pair:
    """One checkpoint served by the engine and by `transformers`."""

    def __init__(self, served: Served) -> None:
        self.engine = Engine(served.folder, Settings(1, limits=Limits(max_rows=24)))
        self.oracle = Oracle(served.checkpoint, self.engine.manifest)
        self.vocabulary = load_vocabulary(served.folder, self.engine.manifest)

    def check(self, options: dict[str, Any], *, expected: dict[str, Any] | None = None) -> None:
        generate = {"do_sample": False, **options, **(expected or {})}
        generate["num_return_sequences"] = generate.pop("num_hypotheses", 1)
        if options["num_beams"] == 1:
            for name in ("length_penalty", "early_stopping"):
                options, generate = _without(name, options), _without(name, generate)
        answers = self.oracle.answers(self.vocabulary.encode(TEXTS), **generate)
        asked = Options(**options, stream=False, token_ids=True, stop_repetition=False)
        ends = [answer.end for answer in run_texts(self.engine, TEXTS, asked)]
        for end, wanted in zip(ends, answers, strict=True):
            made = [end, *end.alternatives]
            assert [list(each.token_ids) for each in made] == [each.tokens for each in wanted]
            if options["num_beams"] > 1:
                assert [each.score for each in made] == pytest.approx(
                    [each.score for each in wanted], abs=1e-4, rel=1e-5
                )


@pytest.fixture(scope="module", params=["trained", "untrained"])
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    served = Pair(request.getfixturevalue(request.param))
    served.engine.start()
    yield served
    served.engine.stop()


def test_answers_end_at_various_lengths(trained: Served) -> None:
    """Else the tests below would say little."""
    engine = Engine(trained.folder, Settings(1))
    engine.start()
    for beams in (1, 4):
        options = Options(num_beams=beams, max_new_tokens=24, stream=False)
        ends = [answer.end for answer in run_texts(engine, TEXTS, options)]
        assert FinishReason.EOS in {end.finish_reason for end in ends}
        assert len({end.output_tokens for end in ends}) > 3
    engine.stop()


@pytest.mark.parametrize("seed", range(24))
def test_mixed_options_equal_transformers(pair: Pair, seed: int) -> None:
    pair.check(_random_options(seed))


@pytest.mark.parametrize(
    ("length_penalty", "early_stopping"),
    list(itertools.product(GRID["length_penalty"], GRID["early_stopping"])),
)
def test_four_beams_equal_transformers(
    pair: Pair, length_penalty: float, early_stopping: bool | str
) -> None:
    pair.check(
        {
            "num_beams": 4,
            "num_hypotheses": 4,
            "length_penalty": length_penalty,
            "early_stopping": early_stopping,
            "max_new_tokens": 30,
        }
    )


def test_suppressed_tokens_leave_their_share_of_the_probability(
    repository: Path, checkpoints: dict[str, Path]
) -> None:
    """Marian's padding is suppressed inside the graph; `transformers` normalises before that."""
    served = Pair(Served(repository / "marian_fp32" / "1", checkpoints["marian"]))
    served.engine.start()
    try:
        for beams in (1, 4):
            served.check({"num_beams": beams, "max_new_tokens": 20, "num_hypotheses": 1})
    finally:
        served.engine.stop()


@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize("limit", [1, 2, 12])
def test_what_the_checkpoint_forces_and_suppresses(
    trained: Served, tmp_path: Path, beams: int, limit: int
) -> None:
    folder = tmp_path / "1"
    shutil.copytree(trained.folder, folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    generation = {
        "forced_eos_id": 1,
        "suppressed_ids": [20, 21, 22, 23],
        "begin_suppressed_ids": list(range(30, 60)),
        "bad_words": [[70], [100, 101], [1], [80, 90, 95]],
    }
    manifest |= {"forced_bos_ids": {"": 7}, "generation": generation}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    served = Pair(Served(folder, trained.checkpoint))
    served.engine.start()
    expected = {
        "forced_bos_token_id": 7,
        "forced_eos_token_id": 1,
        "suppress_tokens": generation["suppressed_ids"],
        "begin_suppress_tokens": generation["begin_suppressed_ids"],
        "bad_words_ids": generation["bad_words"],
    }
    try:
        served.check({"num_beams": beams, "max_new_tokens": limit}, expected=expected)
    finally:
        served.engine.stop()


@pytest.mark.parametrize(
    "options",
    [
        {"repetition_penalty": 1.4},
        {"no_repeat_ngram_size": 1, "length_penalty": 0.3},
        {"min_new_tokens": 9, "repetition_penalty": 0.7, "early_stopping": True},
    ],
)
@pytest.mark.parametrize("beams", [1, 4])
@pytest.mark.parametrize("family", ["pegasus", "marian"])
def test_scores_that_the_checkpoint_normalizes_again(
    repository: Path,
    checkpoints: dict[str, Path],
    tmp_path: Path,
    family: str,
    beams: int,
    options: dict[str, Any],
) -> None:
    """OPUS-MT's `renormalize_logits`; Marian's padding is suppressed besides."""
    folder = tmp_path / "1"
    shutil.copytree(repository / f"{family}_fp32" / "1", folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["generation"] |= {"renormalize_logits": True, "forced_eos_id": manifest["eos_id"]}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    served = Pair(Served(folder, checkpoints[family]))
    served.engine.start()
    asked = {"num_beams": beams, "num_hypotheses": beams, "max_new_tokens": 16, **options}
    expected = {"renormalize_logits": True, "forced_eos_token_id": manifest["eos_id"]}
    try:
        served.check(asked, expected=expected)
    finally:
        served.engine.stop()


@pytest.mark.parametrize("beams", [1, 4])
@pytest.mark.parametrize("more", [{}, {"no_repeat_ngram_size": 2, "min_new_tokens": 4}])
def test_a_prefix_is_the_decoders_prompt(pair: Pair, beams: int, more: dict[str, Any]) -> None:
    prefix = "The library and"
    ids = pair.vocabulary.encode_prefix(prefix)
    assert len(ids) > 1
    start = [pair.engine.manifest.decoder_start_id, *ids]
    options = {"num_beams": beams, "max_new_tokens": 12, **more}
    sources = pair.vocabulary.encode(TEXTS)
    answers = [
        pair.oracle.answers([source], decoder_input_ids=_tensor([start]), **options)[0][0]
        for source in sources
    ]
    asked = Options(**options, target_prefix=prefix, stream=False, token_ids=True)
    made = [answer.end for answer in run_texts(pair.engine, TEXTS, asked)]
    assert [list(end.token_ids) for end in made] == [answer.tokens for answer in answers]
    assert all(answer.text.startswith(prefix) for answer in run_texts(pair.engine, TEXTS, asked))
    if beams > 1:
        assert [end.score for end in made] == pytest.approx(
            [answer.score for answer in answers], abs=1e-4
        )


def _tensor(rows: list[list[int]]) -> Any:
    import torch

    return torch.tensor(rows)


def test_scores_and_log_probabilities(pair: Pair) -> None:
    options = Options(
        num_beams=4, length_penalty=0.5, max_new_tokens=20, token_log_probs=True, stream=False
    )
    for answer in run_texts(pair.engine, TEXTS, options):
        end: End = answer.end
        assert "".join(token.text for token in end.tokens) == answer.text
        assert sum(token.log_prob for token in end.tokens) == pytest.approx(end.log_prob, abs=2e-3)
        assert end.log_prob / len(end.tokens) ** 0.5 == pytest.approx(end.score, abs=1e-3)
