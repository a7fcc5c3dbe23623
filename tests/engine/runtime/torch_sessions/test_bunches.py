"""Greedy steps that are begun before the host has taken the last ones' tokens.

A GPU does what it is told some time later.  The device here does it as late as it may: when
somebody waits for it.
"""

import random
from collections import deque
from collections.abc import Callable
from functools import partial, wraps
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.runtime.decoding.settings import Decoding
from engine.runtime.sessions.interrupt import Interrupt
from engine.runtime.sessions.slots import Slots
from engine.runtime.sessions.torch import kernels
from engine.runtime.sessions.torch.device import TorchDevice
from engine.runtime.sessions.torch.memory import TorchMemory
from engine.runtime.sessions.torch.session import TorchSession
from tests.engine.native.answers import random_sources
from tests.engine.native.models import KINDS, RandomVariant, write_variant
from tests.engine.runtime.torch_sessions.mixed_rows import Wish, decode_rows

pytestmark = pytest.mark.usefixtures("one_thread")

CAPACITY = 5


class LateDevice(TorchDevice):
    """A processor that does the steps, and the copies around them, when they are waited for."""

    def __init__(self) -> None:
        super().__init__(None)
        self.waiting: deque[Callable[[], None]] = deque()
        self._begun = 0

    def later(self, act: Callable[..., None]) -> Callable[..., None]:
        """`act`, done when its turn comes."""

        @wraps(act)
        def begin(*args: Any, **named: Any) -> None:
            self._begun += 1
            self.waiting.append(partial(act, *args, **named))

        return begin

    def mark(self) -> Any:
        return self._begun

    def wait_for(self, mark: Any) -> None:
        with torch.inference_mode():
            while self._begun - len(self.waiting) < mark:
                self.waiting.popleft()()

    def wait(self) -> None:
        self.wait_for(self._begun)


def late(
    variant: RandomVariant, capacity: int, steps: int, monkeypatch: pytest.MonkeyPatch
) -> tuple[TorchSession, LateDevice]:
    usual = TorchSession(variant.folder, variant.manifest, capacity, None)
    device = LateDevice()
    session = TorchSession.over(usual._model, variant.manifest, capacity, device, steps)
    session.slots(capacity)
    lane: Any = session._used
    for part, name in (
        *((lane, "_step"), (lane, "select"), (lane, "join"), (lane.state, "_send")),
        *((told, "download") for told in (*lane.state._told, *lane.choices._told)),
        (kernels, "copy_rows"),
    ):
        monkeypatch.setattr(part, name, device.later(getattr(part, name)))
    for name in ("admit", "clear"):
        monkeypatch.setattr(lane.memory, name, settled(lane.memory, name, device))
    return session, device


def settled(memory: TorchMemory, name: str, device: LateDevice) -> Callable[..., None]:
    """What writes to memory at once here, after all that was begun, and the moves that wait."""
    act: Callable[..., None] = getattr(memory, name)

    def do(*args: Any) -> None:
        with torch.inference_mode():
            memory.settle()
        device.wait()
        act(*args)

    return do


@pytest.fixture(scope="module", params=["t5", "marian", "ssru"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp(request.param) / "fp32"
    return write_variant(folder, KINDS[request.param], "fp32")


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> RandomVariant:
    return write_variant(tmp_path_factory.mktemp("learned") / "fp32", KINDS["bart"], "fp32")


def wishes(model: RandomVariant, chance: random.Random, kinds: list[Decoding]) -> list[Wish]:
    lengths = tuple(chance.randint(1, 30) for _ in range(24))
    words = model.kind.config.encoder_vocab_size
    sources = random_sources(model.manifest, lengths, seed=7, vocabulary=words)
    return [
        Wish(source, chance.randint(1, 17), chance.choice(kinds), chance.choice([0, 0, 0, 1, 2]))
        for source in sources
    ]


@pytest.mark.parametrize("steps", [2, 3])
@pytest.mark.parametrize("kinds", ["greedy", "mixed"])
def test_answers_are_those_of_each_row_alone(
    model: RandomVariant, kinds: str, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows come, end, leave and move while steps are made that know nothing of it."""
    several = [Decoding(60)] * 6 + [Decoding(60, sample=True), Decoding(60, num_beams=2)]
    asked = wishes(model, random.Random(steps), several if kinds == "mixed" else several[:1])
    alone = decode_rows(TorchSession(model.folder, model.manifest, CAPACITY, None), asked, CAPACITY)
    session, _ = late(model, CAPACITY, steps, monkeypatch)
    for seed in range(3):
        made = decode_rows(session, asked, CAPACITY, seed)
        for wish, one, other in zip(asked, made, alone, strict=True):
            if one or not wish.leaves:
                assert [tokens for tokens, _ in one] == [tokens for tokens, _ in other]
                scores = [score for _, score in other]
                assert [score for _, score in one] == pytest.approx(scores, abs=1e-4)


def greedy_rows(session: TorchSession, limits: list[int]) -> Slots:
    slots = session.slots(CAPACITY)
    sources = [[5 + place, 9, 1] for place in range(len(limits))]
    slots.admit(session.encode(sources), [3] * len(limits), limits)
    return slots


def test_steps_are_begun_before_the_last_ones_are_taken(
    learned: RandomVariant, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, device = late(learned, CAPACITY, 2, monkeypatch)
    slots = greedy_rows(session, [40, 40])
    made = []
    for _ in range(5):
        before = len(device.waiting)
        advance = session.run(slots, 1, 60, Interrupt())
        made.append(advance.steps)
        assert len(device.waiting) == 4, "a copy in, two steps, and a copy out are left to it"
        assert before in (0, 4)
        assert slots.positions[:2].tolist() == [sum(made)] * 2
    assert made == [1, 2, 2, 2, 2], "a first token comes alone"


def test_nothing_is_begun_when_all_rows_end(
    learned: RandomVariant, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, device = late(learned, CAPACITY, 2, monkeypatch)
    slots = greedy_rows(session, [3, 2])
    assert session.run(slots, 1, 60, Interrupt()).ended == []
    advance = session.run(slots, 1, 60, Interrupt())
    assert set(advance.ended) == {0, 1}
    assert not device.waiting
    assert slots.positions[:2].tolist() == [3, 2]


def test_a_new_row_makes_its_first_token_in_its_first_call(
    learned: RandomVariant, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, _ = late(learned, CAPACITY, 2, monkeypatch)
    slots = greedy_rows(session, [40])
    session.run(slots, 1, 60, Interrupt())
    slots.admit(session.encode([[7, 1]]), [2], [40])
    advance = session.run(slots, 1, 60, Interrupt())
    assert slots.positions[:2].tolist() == [1 + 2 + 1, 1]
    assert advance.steps == 3


def test_recurrent_states_are_never_made_ahead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row that is to make another kind of step could not go back."""
    variant = write_variant(tmp_path / "ssru", KINDS["ssru"], "fp32")
    session, device = late(variant, CAPACITY, 2, monkeypatch)
    slots = greedy_rows(session, [40])
    session.run(slots, 4, 60, Interrupt())
    assert not device.waiting
