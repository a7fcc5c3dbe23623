"""Rows of every strategy for random models, and a running batch that they enter and leave."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from engine.contract.events import FinishReason
from engine.contract.manifest import Manifest
from engine.contract.options import Options
from engine.runtime.batching.running_batch import RunningBatch
from engine.runtime.decoding.beam_search import BeamSearch
from engine.runtime.decoding.greedy import GreedySearch, TokenSelection
from engine.runtime.decoding.processors import Processors
from engine.runtime.decoding.sampling import Sampler
from engine.runtime.decoding.settings import Decoding
from engine.runtime.decoding.strategy import DecodingStrategy
from engine.runtime.request import Request, Row, RowPlan, RowProgress
from engine.runtime.sessions.session import Session
from engine.runtime.text.detokenizer import Detokenizer

STEPS = 7


@dataclass(frozen=True)
class Wish:
    """A source, how it is decoded, and after how many calls its row leaves, 0 for never."""

    source: list[int]
    limit: int
    decoding: Decoding
    leaves: int = 0


Answers = list[tuple[list[int], float]]
"""Tokens and score of each hypothesis, best first."""


def decode_rows(
    session: Session, wishes: Sequence[Wish], capacity: int, seed: int | None = None
) -> list[Answers]:
    """The answers to all wishes, which start in an order and at times that `seed` draws.

    Without a seed each is alone.  Who leaves has no answer.
    """
    rows = [new_row(session, index, wish) for index, wish in enumerate(wishes)]
    running, answers = RunningBatch(session, capacity), dict[int, Answers]()
    if seed is None:
        for row in rows:
            running.start([row])
            while running.rows:
                _step(running, answers)
        return [answers[index] for index in range(len(rows))]
    chance, waiting, calls = random.Random(seed), list(rows), dict.fromkeys(range(len(rows)), 0)
    chance.shuffle(waiting)
    while waiting or running.rows:
        free = capacity - sum(row.width for row in running.rows)
        group: list[Row] = []
        for _ in range(chance.randint(0, 4)):
            if waiting and waiting[0].width <= free:
                group.append(waiting.pop(0))
                free -= group[-1].width
        if group:
            running.start(group)
        if running.rows:
            _step(running, answers)
        for row in list(running.rows):
            calls[row.index] += 1
            if calls[row.index] == wishes[row.index].leaves:
                running.finish(row, FinishReason.CANCELLED)
                answers[row.index] = []
        running.shrink()
    return [answers[index] for index in range(len(rows))]


def _step(running: RunningBatch, answers: dict[int, Answers]) -> None:
    done, _ = running.step(STEPS, seconds=60)
    for row, reason in done:
        assert reason is not FinishReason.ERROR
        found = running.finish(row, reason)
        answers[row.index] = [(one.trail.tokens.tolist(), one.score) for one in found]


def new_row(session: Session, index: int, wish: Wish) -> Row:
    """A row that is not in a batch yet."""
    manifest = session.manifest
    strategy = _strategy(session, manifest, index, wish)
    request = Request("test", [], Options(stop_repetition=False), lambda _events, _last: None)
    plan = RowPlan(
        wish.source,
        wish.limit,
        arrived=0.0,
        start_id=manifest.decoder_start_id,
        needs=strategy.needs,
    )
    return Row(request, index, plan, strategy, RowProgress(Detokenizer([])))


def _strategy(session: Session, manifest: Manifest, index: int, wish: Wish) -> DecodingStrategy:
    decoding, eos = wish.decoding, manifest.eos_id
    if decoding.num_beams == 1 and not (decoding.sample or decoding.constrained):
        return GreedySearch(eos)
    processors = Processors(decoding, eos, 1)
    if decoding.num_beams > 1:
        return BeamSearch(decoding, processors, eos, wish.limit, session.outputs)
    sampler = Sampler(decoding, 9, index) if decoding.sample else None
    return TokenSelection(eos, processors, sampler)
