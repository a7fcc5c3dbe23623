"""What an encoder variant has to pass before it is written: finite, and as the checkpoint says."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from engine.contract.manifest import Manifest, read_manifest
from engine.export.gates.transformer import DifferenceError, GateError, NotFiniteError
from engine.export.memory_budget import Budget
from engine.model.checkpoint import Checkpoint
from engine.native.model import is_served
from engine.runtime.encoders.native_session import NativeEncoderSession
from engine.runtime.encoders.session import EncoderRunner, EncoderSession, Floats
from engine.runtime.encoders.windows import TokenWindow, WindowCutter
from engine.runtime.text.vocabulary import load_tokenizer

TEXTS = 8
QUESTION = "What is it?"

TOLERANCE = {"fp32": 1e-3, "fp16": 2e-2, "bf16": 0.1, "int8": 0.3}
"""Largest root of the mean square of differences, relative to that of the logits (at least 1):
"""


def check_encoder(folder: Path, checkpoint: Checkpoint, texts: Sequence[str]) -> None:
    """Compares the logits of a few texts with those of the PyTorch model.

    Raises:
        NotFiniteError: a logit is not finite.
        DifferenceError: the difference is over `TOLERANCE`.
        GateError: there is no text.

    """
    manifest = read_manifest(folder)
    if not texts:
        raise GateError(f"{manifest.name}: there is no text to compare on.")
    budget = Budget.of(checkpoint)
    windows = _windows(folder, manifest, texts[:TEXTS], budget.longest())
    oracle = np.concatenate([_oracle(checkpoint, window) for window in windows])
    sessions: list[EncoderRunner] = [EncoderSession(folder, manifest, threads=0)]
    if is_served(folder):
        sessions.append(NativeEncoderSession(folder, manifest))
    for session in sessions:
        rows = dict[int, Floats]()
        for group in budget.groups([len(window.ids) for window in windows]):
            rows |= zip(group, session.run([windows[index] for index in group]), strict=True)
        logits = np.concatenate([rows[index].ravel() for index in range(len(windows))])
        _compare(manifest, logits, oracle)


def _compare(manifest: Manifest, logits: Floats, oracle: Floats) -> None:
    if not np.isfinite(logits).all():
        raise NotFiniteError(f"{manifest.name}: the graph makes values that are not finite.")
    size = max(1.0, float(np.sqrt(np.mean(oracle**2))))
    difference = float(np.sqrt(np.mean((logits - oracle) ** 2))) / size
    if not difference <= TOLERANCE[manifest.precision]:
        raise DifferenceError(
            f"{manifest.name}: logits differ from the checkpoint's by {difference:.4f} of their "
            f"size; at most {TOLERANCE[manifest.precision]} is allowed."
        )


def _windows(
    folder: Path, manifest: Manifest, texts: Sequence[str], longest: int
) -> list[TokenWindow]:
    cutter = WindowCutter(load_tokenizer(folder), min(longest, manifest.max_source_tokens))
    if manifest.head == "spans":
        return [cutter.cut_context(QUESTION, text, None, 0).windows[0] for text in texts]
    return [cutter.cut(text).windows[0] for text in texts]


@torch.no_grad()
def _oracle(
    checkpoint: Checkpoint, window: TokenWindow
) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    ids, types = torch.tensor([window.ids]), torch.tensor([window.token_types])
    logits = checkpoint.encoder(ids, torch.ones_like(ids).bool(), types)
    return np.asarray(logits.numpy()[0].ravel(), np.float32)
