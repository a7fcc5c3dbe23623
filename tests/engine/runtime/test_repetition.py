"""Loops are found, stopped and cut; text that merely repeats itself is not."""

import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from engine.contract.events import FinishReason
from engine.contract.options import Options
from engine.runtime.batch import run_texts
from engine.runtime.batching.scheduler import Limits
from engine.runtime.decoding.repetition import (
    LOOP_TOKENS,
    MAX_CYCLE,
    extend_runs,
    looping,
    settled,
)
from engine.runtime.engine import Engine, Settings
from engine.runtime.text.vocabulary import load_vocabulary
from tests.engine.conftest import read_sources
from tests.engine.runtime.conftest import Served


def _replay(tokens: Sequence[int]) -> tuple[int, list[int]]:
    """When a loop is found (or the length when none is), and what is settled after each token."""
    row = np.array([[tokens[0], *tokens]], dtype=np.int64)
    runs = np.zeros((1, MAX_CYCLE), np.int32)
    lengths = []
    for position in range(len(tokens)):
        extend_runs(runs, row, np.array([position]), np.array([0]))
        lengths.append(int(settled(runs, np.array([position + 1]))[0]))
        if looping(runs)[0]:
            return position + 1, lengths
    return len(tokens), lengths


@pytest.mark.parametrize("cycle", [1, 2, 3, 7, 13, 31, 32])
def test_a_loop_is_found_and_cut_back_to_its_second_round(cycle: int) -> None:
    head = [100 + index for index in range(9)]
    found, lengths = _replay(head + list(range(cycle)) * 200)
    assert found == len(head) + cycle + max(LOOP_TOKENS, 4 * cycle)
    assert lengths[-1] == len(head) + cycle + max(3, cycle)
    assert lengths == sorted(lengths)


@pytest.mark.parametrize("seed", range(50))
def test_what_is_settled_never_shrinks(seed: int) -> None:
    chance = np.random.default_rng(seed)
    parts = [list(chance.integers(0, 3, chance.integers(1, 9))) * 4 for _ in range(12)]
    _, lengths = _replay([int(token) for part in parts for token in part])
    assert lengths == sorted(lengths)


REPETITIVE = {
    "words": "It was a very very very very very very very very long day , he said . " * 2,
    "laughter": "ha " * 30 + "! " + "ho " * 30,
    "numbers": " ".join(str(number) for number in range(300)),
    "digits": ("0 " * 16 + "1 ") * 3,
    "list": " ".join(f"* package number {index} is not installed ." for index in range(40)),
    "table": " ".join(f"| row {index} | yes | no | yes | - |" for index in range(40)),
    "rule": "Name | Size | Date " + "- " * 40 + "alpha | 1 | today",
    "chorus": ("la la la la , " * 6 + "we sing . ") + ("la la la la , " * 6 + "we dance . "),
    "code": " ".join(f"x [ {index} ] = y [ {index} ] ;" for index in range(60)),
}


@pytest.mark.parametrize("name", list(REPETITIVE))
def test_real_looking_repetition_is_no_loop(name: str) -> None:
    words = REPETITIVE[name].split()
    ids = {word: index for index, word in enumerate(dict.fromkeys(words))}
    found, _ = _replay([ids[word] for word in words])
    assert found == len(words)


def test_the_example_texts_have_no_loops(trained: Served) -> None:
    engine = Engine(trained.folder, Settings(1))
    vocabulary = load_vocabulary(trained.folder, engine.manifest)
    for tokens in vocabulary.encode(read_sources(400)):
        assert _replay(tokens)[0] == len(tokens)


@pytest.fixture(scope="module")
def looper(untrained: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A random model that may make 128 tokens; nearly all its answers run in loops."""
    folder = tmp_path_factory.mktemp("looper")
    for path in untrained.folder.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    _allow(folder / "manifest.json", tokens=128)
    engine = Engine(folder, Settings(1, limits=Limits(max_rows=16), stream_rate=1e9))
    engine.start()
    yield engine
    engine.stop()


def _allow(manifest: Path, tokens: int) -> None:

    content = json.loads(manifest.read_text())
    content["max_target_tokens"] = tokens
    content["generation"] = {}
    manifest.write_text(json.dumps(content))


@pytest.mark.parametrize("beams", [1, 3])
def test_a_loop_is_stopped_flagged_and_cut(looper: Engine, beams: int) -> None:
    texts = [text for text in read_sources(200) if len(text) < 100][:12]
    ask = {"num_beams": beams, "token_ids": True, "stream": False}
    stopped = run_texts(looper, texts, Options(**ask))
    whole = run_texts(looper, texts, Options(**ask, stop_repetition=False))
    assert FinishReason.REPETITION not in {answer.end.finish_reason for answer in whole}
    loops = [a.end for a in stopped if a.end.finish_reason is FinishReason.REPETITION]
    assert loops
    for end in loops:
        assert _replay(end.token_ids)[0] == len(end.token_ids)
        assert 3 < end.output_tokens == len(end.token_ids) < 128 - LOOP_TOKENS
    if beams == 1:
        for short, long in zip(stopped, whole, strict=True):
            made = short.end.token_ids
            assert made == long.end.token_ids[: len(made)]


@pytest.mark.parametrize("beams", [1, 3])
def test_streams_of_loops_add_up_to_the_cut_answer(looper: Engine, beams: int) -> None:
    texts = [text for text in read_sources(200) if len(text) < 100][:12]
    unary = run_texts(looper, texts, Options(num_beams=beams, stream=False))
    streamed = run_texts(looper, texts, Options(num_beams=beams, stream=True))
    assert [answer.text for answer in streamed] == [answer.text for answer in unary]
    reasons = [answer.end.finish_reason for answer in unary]
    assert FinishReason.REPETITION in reasons
    assert [answer.end.finish_reason for answer in streamed] == reasons


def test_a_forced_prefix_may_repeat_itself(looper: Engine) -> None:
    prefix = " ".join(itertools.repeat("the", 55))
    (answer,) = run_texts(
        looper, ["a text"], Options(target_prefix=prefix, max_new_tokens=3, stream=False)
    )
    assert answer.end.finish_reason is FinishReason.LENGTH
    assert answer.text.startswith(prefix)
