"""How probable a variant finds answers that it did not choose: teacher forcing."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from engine.contract.manifest import read_manifest
from engine.runtime.batching.running_batch import RunningBatch
from engine.runtime.decoding.greedy import GreedySearch
from engine.runtime.decoding.settings import example_options
from engine.runtime.decoding.strategy import StepView
from engine.runtime.planner import Planner
from engine.runtime.request import Request, Row
from engine.runtime.sessions.placement import open_session
from engine.runtime.text.vocabulary import load_vocabulary

AT_ONCE = 32


@dataclass(frozen=True)
class GivenAnswer:
    """The tokens of an answer to `source`, the end of sequence included."""

    source: str
    tokens: Sequence[int]


class GivenTokens(GreedySearch):
    """Makes tokens that are given, whatever the model thinks of them. See `DecodingStrategy`."""

    needs = frozenset({"logits"})

    def __init__(self, eos_id: int, tokens: Sequence[int]) -> None:
        super().__init__(eos_id)
        self._tokens = tokens

    def choose(self, step: StepView, slot: int) -> tuple[int, np.float32]:
        """See `DecodingStrategy`."""
        token = self._tokens[step.history(slot).size - 1]
        logits = step.logits(slot)
        largest = logits.max()
        return token, logits[token] - largest - np.log(np.exp(logits - largest).sum())


def log_probs_of(files: Path, answers: Sequence[GivenAnswer]) -> list[list[float]]:
    """The log-probabilities of each answer's tokens, by the variant whose files are in `files`.

    Sources and answers have to be within the model's limits.
    """
    manifest = read_manifest(files)
    session = open_session(files, manifest, threads=1, capacity=AT_ONCE, device=None)
    planner = Planner(manifest, load_vocabulary(files, manifest), session.outputs, AT_ONCE)
    options = example_options(manifest, num_beams=1, sample=False, stop_repetition=False)
    request = Request("given", [one.source for one in answers], options, lambda *_: None)
    rows = [
        _given(row, answers[row.index].tokens, manifest.eos_id)
        for row in planner.plan(request, 0.0)
    ]
    waiting = sorted(rows, key=lambda row: len(answers[row.index].tokens))
    found: dict[int, list[float]] = {}
    running = RunningBatch(session, AT_ONCE)
    while waiting or running.rows:
        if not running.rows:
            running.start(waiting[:AT_ONCE])
            del waiting[:AT_ONCE]
        for row, reason in running.step()[0]:
            found[row.index] = running.finish(row, reason)[0].trail.log_probs.tolist()
    return [found[index] for index in range(len(answers))]


def _given(row: Row, tokens: Sequence[int], eos_id: int) -> Row:
    strategy = GivenTokens(eos_id, tokens)
    plan = replace(row.plan, limit=len(tokens), forced={}, needs=strategy.needs)
    return replace(row, strategy=strategy, plan=plan)
