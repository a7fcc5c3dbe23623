"""What native code makes of a step's tokens, as NumPy does; several steps in a call."""

import time
from copy import deepcopy

import numpy as np
import pytest

from engine.runtime.sessions.interrupt import Interrupt
from engine.runtime.sessions.native_session import NativeSession
from engine.runtime.sessions.slots import Slots
from tests.engine.native.models import KINDS, LONGEST, RandomVariant, write_variant

CAPACITY = 12
STATE = ("ids", "positions", "history", "token_log_probs", "runs")


@pytest.fixture(scope="module")
def variant(backends: list[str], tmp_path_factory: pytest.TempPathFactory) -> RandomVariant:
    return write_variant(tmp_path_factory.mktemp("advance") / "fp32", KINDS["marian"], "fp32")


@pytest.fixture
def session(variant: RandomVariant) -> NativeSession:
    return NativeSession(variant.folder, variant.manifest)


def filled(session: NativeSession, random: np.random.Generator) -> Slots:
    """Slots of which some are watched, and some have tokens that are forced, loops too."""
    slots, limits = session.slots(CAPACITY), random.integers(60, LONGEST + 1, CAPACITY).tolist()
    slots.admit(session.encode([[5, 1]] * CAPACITY), [2] * CAPACITY, limits)
    for slot in range(CAPACITY):
        places = random.choice(LONGEST, slot // 3, replace=False).tolist()
        forced = dict.fromkeys(range(60), 7) if slot == 4 else dict.fromkeys(places, slot)
        slots.start(slot, slot, forced, watched=slot % 3 != 0)
    return slots


@pytest.mark.parametrize("seed", range(4))
def test_tokens_are_taken_as_numpy_takes_them(session: NativeSession, seed: int) -> None:
    random = np.random.default_rng(seed)
    slots = filled(session, random)
    looped = ended = 0
    while slots.rows:
        # Most answers run in cycles of one to three tokens; which, their start token says.
        position = int(slots.positions[0])
        cycle = slots.history[: slots.rows, 0] % 4
        repeated = 2 + position % np.maximum(cycle, 1)
        tokens = np.where(cycle, repeated, random.integers(2, 9, slots.rows))
        slots.next_ids[: slots.rows] = np.where(random.random(slots.rows) < 0.005, 1, tokens)
        slots.log_probs[: slots.rows] = random.normal(size=slots.rows)
        expected = twin(slots)
        made = session.advance(slots)
        assert made == expected.advance_some(np.arange(slots.rows))
        for name in STATE:
            np.testing.assert_array_equal(getattr(slots, name), getattr(expected, name), name)
        looped, ended = looped + len(made.looping), ended + len(made.ended)
        for slot in sorted({*made.ended, *made.looping}, reverse=True):
            slots.retire(slot)
    assert looped and ended


def twin(slots: Slots) -> Slots:
    """A copy of the state, over the same memory."""
    other = object.__new__(Slots)
    other.__dict__ = {
        name: value if name in {"memory", "native"} else deepcopy(value)
        for name, value in slots.__dict__.items()
    }
    return other


def admitted(session: NativeSession, limits: list[int]) -> Slots:
    slots = session.slots(len(limits))
    texts = [[5 + place, 9, 1] for place in range(len(limits))]
    slots.admit(session.encode(texts), [3] * len(limits), limits)
    return slots


def test_several_steps_are_what_single_ones_are(session: NativeSession) -> None:
    limits = [LONGEST, 30, 50]
    slots, others = admitted(session, limits), session.sibling()
    single, steps = admitted(others, limits), []
    while True:
        made = session.run(slots, 8, 60, Interrupt())
        for _ in range(made.steps):
            others.step(single)
            expected = others.advance(single)
        assert (made.ended, made.looping) == (expected.ended, expected.looping)
        for name in STATE:
            np.testing.assert_array_equal(getattr(slots, name), getattr(single, name), name)
        steps.append(made.steps)
        if made.ended:
            break
    assert max(steps) == 8


def test_steps_end_with_the_first_slot_that_ends(session: NativeSession) -> None:
    slots = admitted(session, [5, 3])
    made = session.run(slots, 100, 60, Interrupt())
    assert (made.ended, made.steps) == ([1], 3)


@pytest.mark.parametrize(("most", "seconds", "interrupted"), [(1, 60, 0), (9, 0, 0), (9, 60, 1)])
def test_one_step_is_made_in_any_case(
    session: NativeSession, most: int, seconds: float, interrupted: int
) -> None:
    slots, interrupt = admitted(session, [LONGEST]), Interrupt()
    interrupt.flag[:] = interrupted
    assert session.run(slots, most, seconds, interrupt).steps == 1
    assert slots.positions[0] == 1


def test_steps_end_with_their_time(session: NativeSession) -> None:
    began = time.monotonic()
    slots = admitted(session, [LONGEST])
    assert session.run(slots, 10**6, np.inf, Interrupt()).ended == [0]
    assert time.monotonic() - began < 60
