"""What the native code makes of the beams of a step, as `join_beams` does."""

import numpy as np
import pytest

from engine.native.library import NativeError
from engine.runtime.decoding.beam_search import BeamSearch
from engine.runtime.decoding.beam_step import NextBeams, join_beams
from engine.runtime.decoding.processors import Processors
from engine.runtime.decoding.selection import Floats, Ints
from engine.runtime.decoding.settings import Decoding
from engine.runtime.decoding.strategy import FREE, NEVER, StepView
from engine.runtime.sessions.native_beams import NativeBeamStep
from engine.runtime.sessions.native_session import NativeSession
from engine.runtime.sessions.slots import Slots
from tests.engine.native.models import KINDS, LONGEST, write_variant

CAPACITY, SUPPRESSED = 40, 3


@pytest.fixture(scope="module")
def slots(backends: list[str], tmp_path_factory: pytest.TempPathFactory) -> Slots:
    assert backends
    folder = tmp_path_factory.mktemp("beams") / "fp32"
    variant = write_variant(folder, KINDS["marian"], "fp32")
    return NativeSession(variant.folder, variant.manifest).slots(CAPACITY)


def fill(slots: Slots, random: np.random.Generator, width: int, vocabulary: int) -> None:
    """A step's candidates, of which many are equal, for beams of equal and different scores."""
    end, slots.rows = slots.manifest.eos_id, CAPACITY
    slots.positions[:] = random.integers(0, LONGEST - 1, CAPACITY)
    slots.limits[:] = slots.positions + random.integers(1, 4, CAPACITY)
    slots.forced[:] = np.where(random.random(slots.forced.shape) < 0.1, end, FREE)
    slots.scores[:] = random.choice([-1.0, -1.25, -2.5, NEVER], CAPACITY)
    logits = -np.sort(random.integers(0, 12, slots.candidate_ids.shape) / np.float32(4), axis=1)
    slots.candidate_logits[:] = np.where(random.random(logits.shape) < 0.02, -np.inf, logits)
    slots.candidate_logits[:] = -np.sort(-slots.candidate_logits, axis=1)
    slots.candidate_ids[:] = random.integers(2, 900, logits.shape)
    slots.candidate_ids[random.random(logits.shape) < 0.2] = end
    slots.candidate_ids[:, vocabulary:] = -1
    slots.candidate_logits[:, vocabulary:] = -np.inf
    slots.candidate_logits[:, 0] = np.maximum(slots.candidate_logits[:, 0], -4)
    slots.log_probs[:] = -random.random(CAPACITY)


def expected(
    slots: Slots, beams: Ints, outputs: dict[str, Floats], renormalizes: bool
) -> NextBeams:
    width = beams.shape[1]
    decoding = Decoding(LONGEST, num_beams=width, renormalize_logits=renormalizes)
    end = slots.manifest.eos_id
    searches = [
        BeamSearch(decoding, Processors(decoding, end, 1), end, LONGEST, frozenset(outputs))
        for _ in beams
    ]
    view = StepView(
        *(lambda: outputs, slots.next_forced, slots.is_last, slots.scores, slots.past),
        *(slots.candidates, lambda _: slots.scores, slots.trail_with),
    )
    return join_beams(searches, view, beams)


def assert_same(made: NextBeams, wanted: NextBeams, *, exactly: bool) -> None:
    """Where tokens are suppressed, an exponential is rounded in another way."""
    for name in ("slots", "tokens", "sources", "targets", "is_over"):
        np.testing.assert_array_equal(getattr(made, name), getattr(wanted, name), name)
    bound = 0 if exactly else 1e-6
    for name in ("log_probs", "scores"):
        np.testing.assert_allclose(getattr(made, name), getattr(wanted, name), bound, bound)
    assert [beam[:3] for beam in made.ended] == [beam[:3] for beam in wanted.ended]
    values = [beam[3:] for beam in made.ended], [beam[3:] for beam in wanted.ended]
    np.testing.assert_allclose(*values, bound, bound)


@pytest.mark.parametrize("renormalizes", [False, True])
@pytest.mark.parametrize("suppresses", [False, True])
@pytest.mark.parametrize("width", [2, 3, 4, 8])
def test_beams_go_on_as_the_numpy_code_says(
    slots: Slots, width: int, suppresses: bool, renormalizes: bool
) -> None:
    random = np.random.default_rng(width)
    native = NativeBeamStep(slots, SUPPRESSED)
    ended = copied = over = 0
    for vocabulary in [width, 2 * width - 1, *[128] * 40]:
        fill(slots, random, width, vocabulary)
        beams = random.permutation(CAPACITY // width * width).reshape(-1, width)
        slots.scores[beams] = -np.sort(-slots.scores[beams], axis=1)
        outputs = {}
        if suppresses:
            shape = CAPACITY, SUPPRESSED
            outputs = {"suppressed_logits": random.normal(-3, 1, shape).astype(np.float32)}
        wanted = expected(slots, beams, outputs, renormalizes)
        made = native.join(beams, outputs.get("suppressed_logits"), renormalizes)
        assert_same(made, wanted, exactly=not suppresses)
        ended, copied = ended + len(made.ended), copied + made.sources.size
        over += int(made.is_over.sum())
    assert ended and copied and over


def test_slots_that_do_not_exist_are_refused(slots: Slots) -> None:
    native = NativeBeamStep(slots, SUPPRESSED)
    with pytest.raises(NativeError, match="a slot does not exist"):
        native.join(np.array([[0, CAPACITY]]), None, False)
    with pytest.raises(NativeError, match="too many beams"):
        native.join(np.arange(17)[None], None, False)
