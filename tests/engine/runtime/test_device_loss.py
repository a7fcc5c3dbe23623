"""A session that has lost its GPU: the rows that it ran, those that wait, and who is told."""

import queue
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.contract.events import FinishReason
from engine.runtime.batching.scheduler import Limits
from engine.runtime.engine import Engine, Settings
from engine.runtime.sessions.native_session import NativeSession
from engine.runtime.sessions.onnx_session import OnnxSession
from engine.runtime.sessions.session import DeviceLostError
from tests.engine.caller import SECONDS, Caller, ends_of
from tests.engine.conftest import read_sources

SENTENCE = "this process has lost GPU 0: CUDA error: an illegal memory access was encountered."


def lose(*_: object) -> None:
    raise DeviceLostError(SENTENCE)


class LossyEngine(Engine):
    """One lane of four slots; `told` is what was said of its loss."""

    def __init__(self, folder: Path) -> None:
        self.told: queue.SimpleQueue[DeviceLostError] = queue.SimpleQueue()
        super().__init__(folder, Settings(1, limits=Limits(max_rows=4)), self.told.put)


@pytest.fixture
def engine(repository: Path) -> Iterator[LossyEngine]:
    running = LossyEngine(repository / "pegasus_fp32" / "1")
    yield running
    running.stop()


def _texts(count: int) -> list[str]:
    return [text for text in read_sources(400) if len(text) < 100][:count]


@pytest.mark.parametrize("call", ["run", "encode"])
def test_rows_that_ran_are_told_from_those_that_waited(
    engine: LossyEngine, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for kind in (NativeSession, OnnxSession):
        monkeypatch.setattr(kind, call, lose)
    caller = Caller(engine).send(_texts(9))
    engine.start()
    ends = ends_of(caller.finish())
    assert str(engine.told.get(timeout=SECONDS)) == SENTENCE
    assert {(end.finish_reason, end.message) for end in ends} == {
        (FinishReason.CANCELLED, SENTENCE)
    }
    assert sorted(end.lost for end in ends) == [False] * 5 + [True] * 4
    assert engine.lanes[0].open_rows == 0


def test_a_loss_that_shows_when_slots_are_made_anew_is_one(
    engine: LossyEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first error of a lost GPU may come where nobody watches."""

    def fail(*_: object) -> None:
        raise RuntimeError("an error")

    for kind in (NativeSession, OnnxSession):
        monkeypatch.setattr(kind, "run", fail)
        monkeypatch.setattr(kind, "slots", lose)
    engine.start()
    (end,) = ends_of(Caller(engine).send(_texts(1)).finish())
    assert (end.finish_reason, end.lost) == (FinishReason.CANCELLED, True)
    assert engine.told.get(timeout=SECONDS)


def test_the_other_lanes_end_their_rows_too(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stays open of a dead process, Triton waits for."""
    told: queue.SimpleQueue[DeviceLostError] = queue.SimpleQueue()
    settings = Settings(2, limits=Limits(max_rows=2))
    engine = Engine(repository / "pegasus_fp32" / "1", settings, told.put)
    monkeypatch.setattr(engine.lanes[0]._session, "run", lose)
    caller = Caller(engine).send(_texts(20), stream=False)
    engine.start()
    ends = ends_of(caller.finish())
    assert len(ends) == 20
    assert {end.message for end in ends if end.lost} == {SENTENCE}
    assert str(told.get(timeout=SECONDS)) == SENTENCE
    assert told.empty()
    engine.stop()
