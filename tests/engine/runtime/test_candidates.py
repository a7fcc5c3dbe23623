"""Candidates decide as the whole vocabulary would, or say that they do not."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.runtime.decoding.beam_search import BeamSearch
from engine.runtime.decoding.beam_step import join_beams
from engine.runtime.decoding.candidates import Candidates
from engine.runtime.decoding.greedy import TokenSelection
from engine.runtime.decoding.processors import Processors
from engine.runtime.decoding.sampling import Sampler
from engine.runtime.decoding.selection import Floats, Ints, top
from engine.runtime.decoding.settings import Decoding
from engine.runtime.decoding.strategy import FREE, NEVER, DecodingStrategy, StepView
from engine.runtime.decoding.trail import Trail

VOCABULARY = 600
EOS = 3
CHANGES: dict[str, dict[str, Any]] = {
    "nothing": {},
    "penalised": {"repetition_penalty": 1.7},
    "encouraged": {"repetition_penalty": 0.6},
    "no n-gram twice": {"no_repeat_ngram_size": 2},
    "no token twice": {"no_repeat_ngram_size": 1},
    "forbidden": {"suppressed_ids": (1, 5, 9), "bad_words": ((4,), (2, 6), (5, 6, 7))},
    "long": {"min_new_tokens": 30, "begin_suppressed_ids": (0, 2, 4)},
    "renormalized": {"repetition_penalty": 1.2, "renormalize_logits": True},
}


def _nothing(_slot: int, _token: int, _log_prob: float) -> Trail:
    empty = np.zeros(0, np.int64)
    return Trail(empty, empty.astype(np.float32), empty, empty.astype(np.float32))


def free(slots: Ints) -> Ints:
    return np.full(slots.shape, FREE)


def goes_on(slots: Ints) -> NDArray[np.bool_]:
    return np.zeros(slots.shape, np.bool_)


class Steps:
    """Steps of random logits, many of them equal; `looked` counts looks at all of a slot's."""

    def __init__(self, seed: int, spread: float = 3.0) -> None:
        self._random = np.random.default_rng(seed)
        self._spread = spread
        self.scores = np.array([0, *[NEVER] * 7])
        self.looked = 0

    def view(self, strategy: DecodingStrategy, history: Ints, most: int) -> StepView:
        """With `most` candidates to spare at most; the first tokens are the likely ones."""
        shape = len(history), VOCABULARY
        logits = self._random.normal(0, self._spread, shape) - np.arange(VOCABULARY) / 30
        logits = (np.round(logits * 4) / 4).astype(np.float32)

        def candidates(slots: Any, asked: int) -> Candidates:
            rows = logits[slots]
            count = asked if asked == 2 * strategy.width else min(asked, most)
            ids = np.apply_along_axis(top, -1, rows, count)
            totals = np.logaddexp.reduce(rows, axis=-1)
            return Candidates(ids, np.take_along_axis(rows, ids, -1), totals)

        def whole(slot: int) -> Floats:
            self.looked += 1
            return logits[slot]

        state = dict, free, goes_on, self.scores, history.__getitem__
        return StepView(*state, candidates, whole, _nothing)


def _run(make: Callable[[], DecodingStrategy], most: int, seed: int) -> tuple[list[Any], int]:
    """What a strategy chooses in 12 steps, and how often it looked at a whole vocabulary."""
    strategy, steps = make(), Steps(seed)
    slots = list(range(strategy.width))
    history = np.zeros((strategy.width, 1), np.int64)
    made = []
    for _ in range(12):
        view = steps.view(strategy, history, most)
        if search := strategy.search:
            chosen = join_beams([search], view, np.array([slots]))
            history[chosen.targets] = history[chosen.sources]
            slots, steps.scores[chosen.slots] = chosen.slots[0].tolist(), chosen.scores
            history = np.column_stack([history, np.zeros(strategy.width, np.int64)])
            history[chosen.slots[0], -1] = chosen.tokens[0]
            made.append((history[slots].tolist(), chosen.log_probs[0].tolist()))
        else:
            one = strategy.choose(view, 0)
            assert one is not None
            token, log_prob = one
            history = np.column_stack([history, [token]])
            made.append((history.tolist(), float(log_prob)))
    return made, steps.looked


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("changes", CHANGES)
@pytest.mark.parametrize("method", ["greedy", "sampled", "beams"])
def test_candidates_choose_as_the_whole_vocabulary(method: str, changes: str, seed: int) -> None:
    settings: dict[str, Any] = {
        "greedy": {},
        "sampled": {"sample": True, "top_k": 20, "top_p": 0.9, "temperature": 1.3},
        "beams": {"num_beams": 4},
    }[method]
    decoding = Decoding(50, **settings, **CHANGES[changes])

    def make() -> DecodingStrategy:
        processors = Processors(decoding, EOS, 1)
        if decoding.num_beams > 1:
            return BeamSearch(decoding, processors, EOS, 50, frozenset({"candidates"}))
        sampler = Sampler(decoding, seed, 0) if decoding.sample else None
        return TokenSelection(EOS, processors, sampler)

    made, looked = _run(make, 128, seed)
    never_decides = changes == "encouraged" or (method == "beams" and changes == "renormalized")
    assert looked == 12 * decoding.num_beams if never_decides else looked < 12
    if decoding.sample or decoding.constrained:
        assert _run(make, 1, seed) == (made, 12 * decoding.num_beams)


def test_nothing_bounds_what_is_drawn_from_all() -> None:
    for settings in ({"top_k": 0}, {"top_k": 0, "top_p": 0.5}, {"top_k": 500}):
        decoding = Decoding(50, sample=True, **settings)  # type: ignore[arg-type]
        selection = TokenSelection(EOS, Processors(decoding, EOS, 1), Sampler(decoding, 1, 0))
        assert selection.needs == {"candidates", "logits"}


def test_what_equals_the_last_of_the_best_is_looked_up() -> None:
    decoding = Decoding(50, sample=True, top_k=2)
    selection = TokenSelection(EOS, Processors(decoding, EOS, 1), Sampler(decoding, 1, 0))
    logits = np.zeros(VOCABULARY, np.float32)
    count = selection.candidates
    looked = []

    def whole(slot: int) -> Floats:
        looked.append(slot)
        return logits

    found = Candidates(np.arange(count)[None], logits[None, :count], np.log([float(VOCABULARY)]))
    history = np.zeros((1, 1), np.int64)
    state = dict, free, goes_on, np.zeros(1, np.float32), history.__getitem__
    view = StepView(*state, lambda *_: found, whole, _nothing)
    token, _ = selection.choose(view, 0)
    assert looked == [0]
    assert token >= count, "one of all, which are equal"
