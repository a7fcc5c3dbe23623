"""What the graphs of an encoder-decoder have to pass: finite, and as the checkpoint says.

The oracle is the PyTorch model, teacher-forced with the tokens that the variant chose: at each
position the variant's log-probability is compared with the oracle's.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from engine.export.budget import Budget
from engine.export.calibration import start_id
from engine.export.graph import Array
from engine.model.checkpoint import Checkpoint
from engine.runtime.manifest import read_manifest
from engine.runtime.session import OnnxSession
from engine.runtime.slots import padded
from engine.runtime.vocabulary import load_vocabulary

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
    encoded = load_vocabulary(folder, manifest).encode(texts, *manifest.example_languages)
    sources = [ids for ids in encoded if len(ids) <= manifest.max_source_tokens][:TEXTS]
    if not sources:
        raise GateError(f"{manifest.name}: no calibration text is short enough for the model.")
    session = OnnxSession(folder, manifest, threads=0)
    groups = Budget.of(checkpoint).groups([len(ids) for ids in sources], STEPS, STEPS)
    compared = [
        _differences(session, checkpoint, [sources[index] for index in group]) for group in groups
    ]
    difference = float(np.concatenate(compared).mean())
    if not difference <= TOLERANCE[manifest.precision]:
        raise DifferenceError(
            f"{manifest.name}: log-probabilities differ from the checkpoint's by {difference:.4f} "
            f"on average; at most {TOLERANCE[manifest.precision]} is allowed."
        )


def _differences(session: OnnxSession, checkpoint: Checkpoint, sources: list[list[int]]) -> Array:
    """How far the variant's log-probabilities are from the oracle's, of all its tokens.

    Raises:
        NotFiniteError: one is not finite.

    """
    manifest = session.manifest
    tokens, log_probs = _decode(session, sources)
    ended = np.cumsum(tokens == manifest.eos_id, axis=1) - (tokens == manifest.eos_id)
    counted = ended == 0
    if not np.isfinite(log_probs[counted]).all():
        raise NotFiniteError(f"{manifest.name}: the graph makes values that are not finite.")
    oracle = _oracle(checkpoint, start_id(manifest), sources, tokens)
    return np.asarray(np.abs(log_probs - oracle)[counted])


def _decode(session: OnnxSession, sources: list[list[int]]) -> tuple[Array, Array]:
    """Greedy tokens and their log-probabilities, `[B, STEPS]`; meaningless after a row's end."""
    manifest = session.manifest
    slots = session.slots(len(sources))
    lengths = [len(source) for source in sources]
    steps = min(STEPS, manifest.max_target_tokens)
    slots.admit(session.encode(sources, padded(max(lengths))), lengths, [steps] * len(sources))
    for slot in range(len(sources)):
        slots.start(slot, start_id(manifest), {})
    log_probs = []
    for _ in range(steps):
        session.step(slots)
        log_probs.append(slots.log_probs.copy())
        slots.advance()
    return slots.tokens[:, :steps].copy(), np.stack(log_probs, axis=1)


@torch.no_grad()
def _oracle(
    checkpoint: Checkpoint, start_id: int, sources: list[list[int]], tokens: Array
) -> Array:
    """Log-probabilities `[B, STEPS]` that the checkpoint gives to `tokens`."""
    config = checkpoint.config
    width = max(map(len, sources))
    ids = torch.tensor([s + [config.pad_id] * (width - len(s)) for s in sources])
    mask = torch.arange(width)[None] < torch.tensor([[len(s)] for s in sources])
    chosen = torch.from_numpy(tokens)
    start = torch.full((len(sources), 1), start_id)
    logits = checkpoint.transformer(ids, mask, torch.cat([start, chosen[:, :-1]], dim=1))
    logits[..., list(checkpoint.suppressed_ids)] = -torch.inf
    picked = torch.log_softmax(logits, dim=-1).gather(2, chosen[..., None]).squeeze(2)
    return picked.numpy()
