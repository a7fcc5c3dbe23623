"""Random sources and windows, and any session's greedy answers, decoded as served requests are."""

from collections.abc import Sequence

import numpy as np

from engine.contract.manifest import Manifest
from engine.contract.options import Options
from engine.runtime.batching.running_batch import RunningBatch
from engine.runtime.decoding.greedy import GreedySearch
from engine.runtime.decoding.trail import Trail
from engine.runtime.encoders.windows import TokenWindow
from engine.runtime.request import Request, Row, RowPlan, RowProgress
from engine.runtime.sessions.session import Session
from engine.runtime.text.detokenizer import Detokenizer

STEPS = 7
"""Tokens that are made in one call, where a session can."""


def random_sources(
    manifest: Manifest, lengths: Sequence[int], seed: int, vocabulary: int = 0
) -> list[list[int]]:
    """Sources of any tokens, padding too, that end as sources do.

    They are of a `vocabulary` of so many tokens, or of that of answers.
    """
    random, size = np.random.default_rng(seed), vocabulary or manifest.vocab_size
    tokens = [random.integers(0, size, length - 1).tolist() for length in lengths]
    return [[*source, manifest.eos_id] for source in tokens]


def random_windows(manifest: Manifest, lengths: Sequence[int], seed: int) -> list[TokenWindow]:
    """Windows of any tokens, padding too, and of both types where an encoder has them."""
    random, types = np.random.default_rng(seed), 2 if manifest.token_type_ids else 1
    return [
        TokenWindow(
            random.integers(0, manifest.vocab_size, length).tolist(),
            random.integers(0, types, length).tolist(),
            *(0, 0, length),
        )
        for length in lengths
    ]


def decode(
    session: Session, sources: Sequence[list[int]], limits: Sequence[int], at_once: int = 0
) -> list[Trail]:
    """Greedy answers of at most `limits` tokens, `at_once` sources together, or 0 for all."""
    manifest = session.manifest
    capacity = at_once or len(sources)
    running, waiting = RunningBatch(session, capacity), greedy_rows(manifest, sources, limits)
    trails: dict[int, Trail] = {}
    while waiting or running.rows:
        free = capacity - len(running.rows)
        if free and waiting:
            running.start(waiting[:free])
            del waiting[:free]
        done, _ = running.step(STEPS, seconds=60)
        for row, reason in done:
            trails[row.index] = running.finish(row, reason)[0].trail
        running.shrink()
    return [trails[index] for index in range(len(sources))]


def check_same(made: list[Trail], expected: list[Trail]) -> None:
    """Fails where answers differ, be it in a bit."""
    for one, other in zip(made, expected, strict=True):
        np.testing.assert_array_equal(one.tokens, other.tokens)
        np.testing.assert_array_equal(one.log_probs, other.log_probs)


def greedy_rows(
    manifest: Manifest, sources: Sequence[list[int]], limits: Sequence[int]
) -> list[Row]:
    """Rows that wait for slots; a loop does not end them."""
    request = Request("test", [], Options(stop_repetition=False), lambda _events, _last: None)
    start = manifest.decoder_start_id
    return [
        Row(
            request,
            index,
            RowPlan(source, limit, arrived=0.0, start_id=start),
            GreedySearch(manifest.eos_id),
            RowProgress(Detokenizer([])),
        )
        for index, (source, limit) in enumerate(zip(sources, limits, strict=True))
    ]
