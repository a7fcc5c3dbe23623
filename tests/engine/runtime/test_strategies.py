"""What each strategy makes of steps of a toy model, without a session."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest

from engine.contract.events import FinishReason
from engine.runtime.decoding.beam_search import BeamSearch
from engine.runtime.decoding.beam_step import join_beams
from engine.runtime.decoding.candidates import Candidates
from engine.runtime.decoding.greedy import GreedySearch, TokenSelection
from engine.runtime.decoding.processors import Processors
from engine.runtime.decoding.sampling import Sampler
from engine.runtime.decoding.selection import Floats, Ints, top
from engine.runtime.decoding.settings import Decoding
from engine.runtime.decoding.strategy import FREE, NEVER, DecodingStrategy, StepView
from engine.runtime.decoding.trail import Trail

EOS = START = 0


def _trail(tokens: list[int]) -> Trail:
    ones = np.ones(len(tokens), np.float32)
    return Trail(np.array(tokens, np.int64), -ones, np.zeros(len(tokens), np.int64), ones)


@dataclass
class Toy:
    """Slots 3, 4, ... hold the sequences of a row; every step has the same log-probabilities.

    `looked` counts how often the whole vocabulary was.
    """

    strategy: DecodingStrategy
    log_probs: Floats
    extra: dict[str, Floats] = field(default_factory=dict)
    longest: int = 9

    def __post_init__(self) -> None:
        self.slots = list(range(3, 3 + self.strategy.width))
        self.made: list[list[int]] = [[] for _ in self.slots]
        self.scores = np.array([0.0] * 4 + [NEVER] * 7, np.float32)
        self.looked = 0

    def step(self, forced: int | None = None) -> list[float]:
        count = 3 + len(self.slots)
        history: Ints = np.array([[START, *tokens] for tokens in [self.made[0]] * 3 + self.made])
        free = np.full(count, FREE if forced is None else forced)
        is_last = np.full(count, len(self.made[0]) + 1 == self.longest)
        view = StepView(
            *(lambda: self.extra, free.__getitem__, is_last.__getitem__, self.scores),
            *(history.__getitem__, self._candidates, self._logits, self._trail),
        )
        if search := self.strategy.search:
            return self._search(search, view)
        chosen = self.strategy.choose(view, self.slots[0])
        if chosen is None:
            return []
        self.made[0].append(chosen[0])
        return [float(chosen[1])]

    def _search(self, search: BeamSearch, view: StepView) -> list[float]:
        found = join_beams([search], view, np.array([self.slots]))
        for beam in found.ended:
            search.end_beam(view, beam)
        for source, target in zip(found.sources, found.targets, strict=True):
            self.made[target - 3] = self.made[source - 3]
        self.slots, self.scores[found.slots] = found.slots[0].tolist(), found.scores
        for slot, token in zip(self.slots, found.tokens[0].tolist(), strict=True):
            self.made[slot - 3] = [*self.made[slot - 3], token]
        search.go_on(float(found.scores[0, 0]), is_over=bool(found.is_over[0]))
        log_probs: list[float] = found.log_probs[0].tolist()
        return log_probs

    @property
    def beams(self) -> list[list[int]]:
        """The sequences, best first."""
        return [self.made[slot - 3] for slot in self.slots]

    def _logits(self, slot: int) -> Floats:
        assert slot in self.slots
        self.looked += 1
        return self.log_probs

    def _candidates(self, slots: Sequence[int] | Ints, asked: int) -> Candidates:
        places = np.array(slots)
        assert places.ravel().tolist() == self.slots
        ids = top(self.log_probs, asked)
        missing = asked - ids.size
        ids = np.pad(ids, (0, missing), constant_values=-1)
        logits = np.where(ids < 0, np.float32(-np.inf), self.log_probs[ids])
        total = np.logaddexp.reduce(self.log_probs)
        shape = *places.shape, 1
        return Candidates(np.tile(ids, shape), np.tile(logits, shape), np.full(places.shape, total))

    def _trail(self, slot: int, token: int, _log_prob: float) -> Trail:
        return _trail([*self.made[slot - 3], token])


def _log_probs(*probabilities: float) -> Floats:
    return np.log(np.array(probabilities, np.float32))


def _beams(
    count: int, longest: int = 9, outputs: tuple[str, ...] = (), **options: object
) -> BeamSearch:
    decoding = Decoding(20, num_beams=count, **options)  # type: ignore[arg-type]
    return BeamSearch(decoding, Processors(decoding, EOS, 1), EOS, longest, frozenset(outputs))


@pytest.mark.parametrize(
    ("last", "is_looping", "reason"),
    [
        (None, False, None),
        (None, True, FinishReason.REPETITION),
        (EOS, True, FinishReason.EOS),
        (7, False, FinishReason.LENGTH),
    ],
)
def test_one_sequence_ends_with_its_token_or_in_a_loop(
    last: int | None, is_looping: bool, reason: FinishReason | None
) -> None:
    assert GreedySearch(EOS).finish_reason(last, is_looping) is reason


def test_greedy_search_leaves_the_choice_to_the_session() -> None:
    toy = Toy(GreedySearch(EOS), _log_probs(0.1, 0.2, 0.7))
    assert (toy.strategy.width, toy.strategy.needs) == (1, frozenset())
    assert toy.step() == []
    (answer,) = toy.strategy.results(_trail([5, 6]), False)
    assert answer.score == answer.trail.log_prob == -2.0


def test_selection_follows_the_processors_and_tells_the_model_s_log_probability() -> None:
    decoding = Decoding(20, repetition_penalty=3.0)
    toy = Toy(TokenSelection(EOS, Processors(decoding, EOS, 1)), _log_probs(0.1, 0.3, 0.6))
    assert toy.step() == pytest.approx([np.log(0.6)])
    assert toy.step() == pytest.approx([np.log(0.3)]), "2 was made and is penalised"
    assert toy.made == [[2, 1]]


def test_selection_with_a_sampler_draws_by_the_seed() -> None:
    decoding = Decoding(20, sample=True, top_k=0)
    made = []
    for seed in (1, 1, 2):
        selection = TokenSelection(EOS, Processors(decoding, EOS, 1), Sampler(decoding, seed, 0))
        toy = Toy(selection, _log_probs(*[0.05] * 20))
        for _ in range(12):
            toy.step()
        made.append(toy.made)
    assert made[0] == made[1] != made[2]


def test_beams_go_on_after_the_best_and_their_hypotheses_are_ranked() -> None:
    toy = Toy(_beams(2, early_stopping=True), _log_probs(0.3, 0.6, 0.1))
    assert toy.step() == pytest.approx(np.log([0.6, 0.1]))
    assert toy.beams == [[1], [2]], "the end of sequence became a hypothesis, no beam"
    assert toy.strategy.finish_reason(None, False) is None
    assert not toy.strategy.is_complete
    toy.step()
    assert toy.strategy.is_complete
    assert toy.strategy.finish_reason(None, False) is FinishReason.EOS
    answers = toy.strategy.results(_trail([1]), False)
    assert [answer.trail.tokens.tolist() for answer in answers] == [[1, EOS], [EOS]]
    assert [a.score for a in answers] == pytest.approx([np.log(0.6 * 0.3) / 2, np.log(0.3)])


def test_a_search_that_reaches_its_length_says_so() -> None:
    toy = Toy(_beams(2, longest=2), _log_probs(1e-6, 0.6, 0.4), longest=2)
    toy.step()
    toy.step()
    assert toy.strategy.finish_reason(1, False) is FinishReason.LENGTH
    assert toy.strategy.results(_trail([]), False)[0].trail.tokens.tolist() == [1, 1]


def test_a_forced_token_costs_no_beam_anything() -> None:
    toy = Toy(_beams(3), _log_probs(0.1, 0.6, 0.3))
    assert toy.step(forced=2) == [0.0, 0.0, 0.0]
    assert toy.beams == [[2], [2], [2]]
    assert toy.step()[:2] == pytest.approx(np.log([0.6, 0.3]), abs=1e-5)
    assert toy.beams[:2] == [[2, 1], [2, 2]]


def test_a_loop_ends_a_search_with_the_better_of_hypothesis_and_loop() -> None:
    looping = Toy(_beams(2), _log_probs(1e-6, 0.9, 0.1))
    looping.step()
    assert looping.strategy.finish_reason(None, True) is FinishReason.REPETITION
    assert looping.strategy.results(_trail([1]), True)[0].trail.tokens.tolist() == [1]
    ending = Toy(_beams(2), _log_probs(0.9, 0.05, 0.05))
    ending.step()
    assert ending.strategy.finish_reason(None, True) is FinishReason.EOS
    assert ending.strategy.results(_trail([1]), False)[0].trail.tokens.tolist() == [EOS]


def test_only_what_beams_and_the_best_hypothesis_share_is_certain() -> None:
    toy = Toy(_beams(2), _log_probs(0.01, 0.6, 0.39))
    sequences = [np.array([1, 1, 2]), np.array([1, 1, 1])]
    assert toy.strategy.certain(sequences) == 2
    toy.step()
    toy.strategy._hypotheses = toy.strategy.results(_trail([1, 2]), True)  # type: ignore[attr-defined]
    assert toy.strategy.certain(sequences) == 1


def test_suppressed_tokens_are_put_back_into_the_log_probabilities() -> None:
    search = _beams(2, outputs=("logits", "suppressed_logits", "candidates"))
    assert search.needs == {"suppressed_logits", "candidates"}
    assert _beams(2, outputs=("logits", "candidates")).needs == {"candidates"}
    # The logits are log-probabilities here, so a suppressed token of logit 0 has the weight of all.
    toy = Toy(
        search, _log_probs(0.1, 0.6, 0.3), {"suppressed_logits": np.zeros((5, 1), np.float32)}
    )
    assert toy.step() == pytest.approx(np.log([0.3, 0.15]), abs=1e-5)
