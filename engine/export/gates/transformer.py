"""What the graphs of an encoder-decoder have to pass: finite, and as the checkpoint says.

Texts are decoded as served requests are. The oracle is the PyTorch model, teacher-forced with the
tokens that the variant chose: at each position that is not forced the variant's log-probability is
compared with the oracle's.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from engine.contract.events import FinishReason
from engine.contract.manifest import read_manifest
from engine.export.graphs.builder import Array
from engine.export.memory_budget import Budget
from engine.model.checkpoint import Checkpoint
from engine.model.shortlist import Shortlist
from engine.native.model import is_served
from engine.runtime.batching.running_batch import RunningBatch
from engine.runtime.decoding.settings import example_options
from engine.runtime.decoding.trail import Trail
from engine.runtime.planner import Planner
from engine.runtime.request import Request, Row
from engine.runtime.sessions.native_session import NativeSession
from engine.runtime.sessions.onnx_session import OnnxSession
from engine.runtime.sessions.session import Session
from engine.runtime.text.vocabulary import load_vocabulary

TEXTS = 8
STEPS = 24
TOLERANCE = {"fp32": 1e-3, "fp16": 2e-2, "bf16": 0.15, "int8": 0.25}
"""Largest mean difference of log-probabilities, in nats."""


class GateError(RuntimeError):
    """A variant failed its gate and was not written."""


class NotFiniteError(GateError):
    """A graph makes values that are infinite or not a number."""


class DifferenceError(GateError):
    """A graph differs from the checkpoint by more than its precision may."""


def check_variant(folder: Path, checkpoint: Checkpoint, texts: Sequence[str]) -> None:
    """Decodes a few texts and compares with the oracle.

    Raises:
        NotFiniteError: a log-probability is not finite.
        DifferenceError: the mean difference is over `TOLERANCE`.
        GateError: no text is short enough.

    """
    manifest = read_manifest(folder)
    _check(folder, OnnxSession(folder, manifest, threads=0), checkpoint, texts)
    if is_served(folder):
        native = NativeSession(folder, manifest)
        _check(folder, native, checkpoint, texts, checkpoint.shortlist)


def _check(
    folder: Path,
    session: Session,
    checkpoint: Checkpoint,
    texts: Sequence[str],
    shortlist: Shortlist | None = None,
) -> None:
    """As `check_variant`, of one session, whose answers have the tokens of a shortlist alone."""
    manifest = session.manifest
    rows = _rows(folder, session, texts)
    if not rows:
        raise GateError(f"{manifest.name}: no calibration text is short enough for the model.")
    groups = Budget.of(checkpoint).groups([row.length for row in rows], STEPS, STEPS)
    compared = np.concatenate(
        [
            _differences(session, checkpoint, [rows[index] for index in group], shortlist)
            for group in groups
        ]
    )
    if not compared.size:
        raise GateError(f"{manifest.name}: every token of the answers is forced.")
    difference = float(compared.mean())
    if not difference <= TOLERANCE[manifest.precision]:
        raise DifferenceError(
            f"{manifest.name}: log-probabilities differ from the checkpoint's by {difference:.4f} "
            f"on average; at most {TOLERANCE[manifest.precision]} is allowed."
        )


def _differences(
    session: Session, checkpoint: Checkpoint, rows: list[Row], shortlist: Shortlist | None
) -> Array:
    """How far the variant's log-probabilities are from the oracle's, of tokens not forced.

    Raises:
        NotFiniteError: one is not finite.

    """
    found = []
    for row, trail in zip(rows, _decode(session, rows), strict=True):
        free = [place for place in range(trail.tokens.size) if place not in row.plan.forced]
        oracle = _oracle(checkpoint, row, trail.tokens, shortlist)
        found.append(np.abs(trail.log_probs[free] - oracle[free]))
    return np.concatenate(found)


def _rows(folder: Path, session: Session, texts: Sequence[str]) -> list[Row]:
    """The first texts that the model takes, planned as requests are that leave beams out."""
    manifest = session.manifest
    options = example_options(
        manifest, num_beams=1, sample=False, max_new_tokens=STEPS, stop_repetition=False
    )
    vocabulary = load_vocabulary(folder, manifest)
    planner = Planner(manifest, vocabulary, session.outputs, max_slots=TEXTS)
    request = Request("gate", texts, options, lambda _events, _last: None)
    fitting = [
        row for row in planner.plan(request, 0.0) if row.length <= manifest.max_source_tokens
    ]
    return fitting[:TEXTS]


def _decode(session: Session, rows: list[Row]) -> list[Trail]:
    """What is made for each row, and the log-probabilities of its tokens.

    Raises:
        NotFiniteError: one is not finite.

    """
    running = RunningBatch(session, len(rows))
    running.start(rows)
    trails: dict[int, Trail] = {}
    while running.rows:
        done, _ = running.step()
        for row, reason in done:
            if reason is FinishReason.ERROR:
                name = session.manifest.name
                raise NotFiniteError(f"{name}: the graph makes values that are not finite.")
            trails[row.index] = running.finish(row, reason)[0].trail
    return [trails[row.index] for row in rows]


@torch.no_grad()
def _oracle(checkpoint: Checkpoint, row: Row, tokens: Array, shortlist: Shortlist | None) -> Array:
    """Log-probabilities `[T]` that the checkpoint gives to `tokens`."""
    ids = torch.tensor([row.plan.source])
    targets = torch.tensor([[row.plan.start_id, *tokens[:-1].tolist()]])
    logits = checkpoint.transformer(ids, torch.ones_like(ids, dtype=torch.bool), targets)[0]
    logits[..., list(checkpoint.suppressed_ids)] = -torch.inf
    if shortlist:
        likely = torch.from_numpy(shortlist.likely(row.plan.source)).long()
        others = torch.full_like(logits, -torch.inf)
        logits = others.index_copy(-1, likely, logits[..., likely])
    picked = torch.log_softmax(logits, dim=-1).gather(1, torch.from_numpy(tokens)[:, None])
    return picked.squeeze(1).numpy()
