"""Outcomes on their way from a worker's event loop to the thread that runs a chunk."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from services.foundation.environment import read_settings
from services.inference.errors import TritonUnavailableError
from services.inference.tasks.translation.translator import TranslationRequest
from services.jobs.chunks.inference import Cancelled
from services.jobs.store.items import Item
from services.jobs.store.records import Status
from services.jobs.store.results import Outcome
from workers.inference import TritonInference
from workers.settings import WorkerSettings

TASK = TranslationRequest(source="en", target="fr")
ITEMS = [Item(n, f"text {n}") for n in range(3)]
_PATIENCE = 10.0


class ScriptedPerformer:
    """Gives an outcome for each item before `stop`, then does what `then` says."""

    def __init__(self, stop: int, then: Callable[[], Any]) -> None:
        self.stop, self.then = stop, then
        self.left = threading.Event()

    async def perform(self, _task: Any, items: list[Item], _deadline: float) -> AsyncIterator[Any]:
        try:
            for item in items[: self.stop]:
                yield item.index, Outcome(Status.SUCCEEDED, {"text": item.text.upper()})
            await self.then()
        finally:
            self.left.set()


class Halt:
    """What a heartbeat is to `perform`."""

    def __init__(self) -> None:
        self.calls: list[Callable[[], object] | None] = []

    def on_halt(self, call: Callable[[], object] | None) -> None:
        self.calls.append(call)


async def nothing() -> None:
    pass


async def for_ever() -> None:
    await asyncio.Event().wait()


async def fails() -> None:
    raise TritonUnavailableError("Triton is gone")


@pytest.fixture(scope="module")
def inference() -> TritonInference:
    return TritonInference(
        read_settings(WorkerSettings, triton_url="127.0.0.1:1", worker_stall=0.1)
    )


@pytest.fixture
def perform(
    inference: TritonInference, monkeypatch: pytest.MonkeyPatch
) -> Callable[[ScriptedPerformer, Halt], Iterator[tuple[int, Outcome]]]:
    def performed(performer: ScriptedPerformer, halt: Halt) -> Iterator[tuple[int, Outcome]]:
        monkeypatch.setattr(inference, "_performer", performer)
        return inference.perform(TASK, ITEMS, _PATIENCE, halt.on_halt)

    return performed


def ready(answer: bool) -> Callable[..., bool]:
    return lambda *_, **__: answer


def test_outcomes_come_one_by_one_to_the_end(perform: Any) -> None:
    halt = Halt()
    found = list(perform(ScriptedPerformer(3, nothing), halt))
    assert [index for index, _ in found] == [0, 1, 2]
    assert found[2][1].answer == {"text": "TEXT 2"}
    assert halt.calls[-1] is None, "who halts it later halts nothing"


def test_an_outcome_does_not_wait_for_the_next_one(
    perform: Any, inference: TritonInference, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what stops the work from outside ends it with what was ready by then."""
    monkeypatch.setattr(inference, "is_ready", ready(True))
    performer, halt = ScriptedPerformer(2, for_ever), Halt()
    outcomes = perform(performer, halt)
    assert [next(outcomes)[0], next(outcomes)[0]] == [0, 1]
    (stop,) = halt.calls
    assert stop is not None
    stop()
    with pytest.raises(Cancelled):
        next(outcomes)
    assert performer.left.wait(_PATIENCE)


def test_what_was_ready_before_a_failure_is_kept(perform: Any) -> None:
    outcomes = perform(ScriptedPerformer(1, fails), Halt())
    assert next(outcomes)[0] == 0
    with pytest.raises(TritonUnavailableError, match="Triton is gone"):
        next(outcomes)


def test_an_attempt_ends_when_no_model_answers_for_too_long(
    perform: Any, inference: TritonInference, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inference, "is_ready", ready(False))
    performer = ScriptedPerformer(1, for_ever)
    outcomes = perform(performer, Halt())
    assert next(outcomes)[0] == 0
    with pytest.raises(TritonUnavailableError, match=r"no model has answered for 0\.1 s"):
        next(outcomes)
    assert performer.left.wait(_PATIENCE)


def test_who_leaves_early_ends_the_work(perform: Any) -> None:
    performer, halt = ScriptedPerformer(1, for_ever), Halt()
    outcomes = perform(performer, halt)
    next(outcomes)
    outcomes.close()
    assert performer.left.wait(_PATIENCE)
    assert halt.calls[-1] is None
