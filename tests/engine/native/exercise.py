"""Everything that the library does, with what it gave: run as a module, with another library.

`python -m tests.engine.native.exercise LIBRARY FOLDERS RESULTS`
"""

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

from engine.contract.manifest import read_manifest
from engine.native import library, model
from engine.native.model import ISA_VARIABLE
from engine.native.weights import read_weights
from engine.runtime.decoding.candidates import MOST_CANDIDATES
from engine.runtime.encoders.native_session import NativeEncoderSession
from engine.runtime.sessions.interrupt import Interrupt
from engine.runtime.sessions.native_session import NativeSession
from tests.engine.native.answers import decode, random_sources, random_windows
from tests.engine.native.products import float_product, half_product, int8_product, multiply

LENGTHS = (5, 1, 40, 16, 17, 80, 33, 2, 31)
TEXTS = (5, 1, 40, 16, 17, 64, 33, 2, 31, 64, 64, 63)
LIMITS = (20, 135, 40, 3, 9, 33, 1, 12, 5)

Results = dict[str, np.ndarray]


def exercise(folders: list[Path]) -> Results:
    """What kernels and the models in `folders` give, on every instruction set."""
    made: Results = {}
    for backend in library.backends():
        made |= {f"{backend} {name}": array for name, array in _products(backend).items()}
        os.environ[ISA_VARIABLE] = backend
        for folder in folders:
            is_encoder = read_manifest(folder).kind == "encoder"
            answers = _readings(folder) if is_encoder else _answers(folder)
            made |= {f"{backend} {folder.name} {name}": array for name, array in answers.items()}
    del os.environ[ISA_VARIABLE]
    return made


def _products(backend: str) -> Results:
    random, made = np.random.default_rng(0), {}
    for rows, depth, out in [(1, 1, 1), (3, 7, 5), (9, 65, 40), (17, 96, 33), (33, 250, 70)]:
        x = random.normal(0, 60, (rows, depth)).astype(np.float32)
        weight = random.integers(-127, 128, (depth, out)).astype(np.int8)
        for activation in library.ACTIVATIONS:
            for kind, tensors in {
                "int8": int8_product(weight, 1.5, 0.01, 1),
                "fp32": float_product(weight.astype(np.float32), 1),
                "fp16": half_product(weight.astype(np.float32), "half", 1),
                "bf16": half_product(weight.astype(np.float32), "brain", 1),
            }.items():
                name = f"{kind} {activation} {rows} {depth} {out}"
                made[name] = multiply(tensors, x, out, activation, backend)
    return made


def _answers(folder: Path) -> Results:
    """Of requests that come and go, of several steps a call, beams, and every output."""
    manifest = read_manifest(folder)
    session, texts = NativeSession(folder, manifest), random_sources(manifest, LENGTHS, seed=3)
    trails = decode(session, texts, LIMITS, at_once=4)
    made = {f"log_probs {place}": trail.log_probs for place, trail in enumerate(trails)}
    made |= {f"tokens {place}": trail.tokens for place, trail in enumerate(trails)}
    slots = session.slots(5)
    slots.admit_beams(session.encode(texts[1:3]), [3, 2], [1, 40], [60, 60])
    slots.wanted[:] = (0, 1, 8, 40, MOST_CANDIDATES)
    for position in range(36):
        session.step(slots, session.outputs if position % 3 else frozenset())
        for name, array in session.extra.items():
            made[f"{name} {position}"] = array.copy()
        for slot in range(slots.rows):
            made[f"candidates {slot} {position}"] = slots.candidate_ids[slot].copy()
            made[f"again {slot} {position}"] = session.logits(slot).copy()
        if slots.rows == 5:
            beams = session.join_beams(slots, np.array([[3, 4]]), False)
            made[f"beams {position}"] = np.stack([beams.tokens, beams.slots])
        copies = np.array([position % 3, 3]), np.array([(position + 1) % 3, 4])
        slots.copy_beams(*copies)
        slots.copy_caches(*copies)
        session.advance(slots)
        if position == 20:
            slots.retire(1)
            slots.shrink()
    session.run(slots, 9, 60, Interrupt())
    return made | {"history": slots.history[: slots.rows].copy()}


def _readings(folder: Path) -> Results:
    """Of texts alone and together."""
    manifest = read_manifest(folder)
    session, texts = NativeEncoderSession(folder, manifest), random_windows(manifest, TEXTS, 3)
    readings = [*session.run(texts), *session.run(texts[3:4])]
    return {f"logits {place}": logits for place, logits in enumerate(readings)}


def _copied_weights(folder: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """In memory of their own: reads before and behind each are seen."""
    described, tensors = read_weights(folder)
    return described, {name: array.copy() for name, array in tensors.items()}


if __name__ == "__main__":
    library.LIBRARY = Path(sys.argv[1])
    model.read_weights = _copied_weights
    np.savez(sys.argv[-1], **exercise([Path(folder) for folder in sys.argv[2:-1]]))
