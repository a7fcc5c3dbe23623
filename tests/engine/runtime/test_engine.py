import gc
import queue
import random
import shutil
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.contract.events import Delta, End, Event, FinishReason, Ready, Refused, TooLong
from engine.contract.manifest import read_manifest
from engine.contract.options import InvalidOptionsError, Options, Priority, parse_options
from engine.native.weights import MODEL_FILE, NATIVE_FILES
from engine.runtime.batch import run_texts
from engine.runtime.batching import lane
from engine.runtime.batching.scheduler import Limits
from engine.runtime.engine import Engine, Settings
from engine.runtime.request import Request, Row
from engine.runtime.sessions.memory import ArrayMemory
from engine.runtime.sessions.native_session import NativeSession
from engine.runtime.sessions.onnx_session import OnnxSession
from engine.runtime.sessions.placement import open_session
from engine.runtime.sessions.slots import Advance
from tests.engine.caller import SECONDS, Caller, ends_of
from tests.engine.conftest import read_sources


@pytest.fixture(scope="module", params=[NativeSession, OnnxSession])
def folder(
    request: pytest.FixtureRequest, repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A variant that is run by the native code, and one without what that reads."""
    files = repository / "pegasus_fp32" / "1"
    if request.param is OnnxSession:
        place = tmp_path_factory.mktemp("onnx") / "1"
        files = shutil.copytree(files, place, ignore=shutil.ignore_patterns(*NATIVE_FILES))
    session = open_session(files, read_manifest(files), threads=1, capacity=1, device=None)
    assert type(session) is request.param
    return files


@pytest.fixture
def engine(folder: Path) -> Iterator[Engine]:
    running = Engine(
        folder, Settings(1, limits=Limits(max_rows=4, max_waiting=50), stream_rate=1e6)
    )
    running.start()
    yield running
    running.stop()


def _texts(count: int) -> list[str]:
    return [text for text in read_sources(400) if len(text) < 100][:count]


def test_an_answer_does_not_depend_on_its_neighbours(variant: Path) -> None:
    texts = [text for text in read_sources(200) if len(text) < 120][:60]
    engine = Engine(variant, Settings(2, limits=Limits(max_rows=8)))
    engine.start()
    options = Options(stream=False, token_ids=True)
    try:
        alone = run_texts(engine, texts, options, in_flight=1)
        order = list(range(len(texts)))
        random.Random(3).shuffle(order)
        crowd = run_texts(engine, [texts[index] for index in order], options, in_flight=60)
    finally:
        engine.stop()
    tokens = {index: answer.end.token_ids for index, answer in zip(order, crowd, strict=True)}
    assert [tokens[index] for index in range(len(texts))] == [a.end.token_ids for a in alone]


def test_deltas_and_the_end_concatenate_to_the_whole_text(engine: Engine) -> None:
    texts = _texts(9)
    whole = [end.text for end in ends_of(Caller(engine).send(texts, stream=False).finish())]
    events = Caller(engine).send(texts, stream=True).finish()
    assert sum(isinstance(event, Delta) for event in events) > len(texts)
    assert whole == [
        "".join(e.text for e in events if isinstance(e, Delta | End) and e.index == index)
        for index in range(len(texts))
    ]


def test_the_limit_of_tokens_ends_an_answer_with_length(engine: Engine) -> None:
    (end,) = ends_of(Caller(engine).send(_texts(1), max_new_tokens=3).finish())
    assert (end.finish_reason, end.output_tokens) == (FinishReason.LENGTH, 3)


def test_more_texts_than_slots_are_all_answered(engine: Engine) -> None:
    ends = ends_of(Caller(engine).send(_texts(30), stream=False).finish())
    assert [end.index for end in ends] == list(range(30))
    assert {end.finish_reason for end in ends} <= {FinishReason.EOS, FinishReason.LENGTH}


def test_a_text_that_is_too_long_is_refused_and_its_neighbours_run(engine: Engine) -> None:
    events = Caller(engine).send(["short text", "word " * 200], stream=False).finish()
    (refused,) = [event for event in events if isinstance(event, TooLong)]
    assert (refused.index, refused.limit) == (1, 128)
    assert refused.input_tokens > 128
    assert [end.index for end in ends_of(events)] == [0]


def test_only_too_long_texts_close_the_request(engine: Engine) -> None:
    events = Caller(engine).send(["word " * 200]).finish()
    assert [type(event) for event in events] == [TooLong]


def test_a_stopped_engine_gives_up_its_memory_at_once(folder: Path) -> None:
    """An import opens several; keys, values and weights of one can't wait for a collection."""
    engine = Engine(folder, Settings(2))
    engine.start()
    Caller(engine).send(_texts(2)).finish()
    sessions = [weakref.ref(one._session) for one in engine.lanes]
    gc.disable()
    try:
        engine.stop()
        del engine
        assert [session() for session in sessions] == [None, None]
    finally:
        gc.enable()


def test_a_probe_is_answered(engine: Engine) -> None:
    assert Caller(engine).send([]).finish() == [Ready()]


def test_a_probe_waits_for_a_hung_lane(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(folder, Settings(2))
    hung, released = threading.Event(), threading.Event()

    def hang(*_: object) -> None:
        hung.set()
        released.wait(SECONDS)

    monkeypatch.setattr(engine.lanes[1]._session, "run", hang)
    engine.start()
    try:
        Caller(engine).send(_texts(2))
        assert hung.wait(SECONDS)
        probe = Caller(engine).send([], name="probe")
        with pytest.raises(queue.Empty):
            probe.inbox.get(timeout=0.3)
        released.set()
        assert probe.finish() == [Ready()]
    finally:
        monkeypatch.undo()
        released.set()
        engine.stop()


def test_a_full_line_refuses_the_request_and_the_engine_goes_on(engine: Engine) -> None:
    (refused,) = Caller(engine).send(_texts(55)).finish()
    assert isinstance(refused, Refused)
    assert refused.reason == "QUEUE_FULL"
    assert engine.refused_rows == 55
    assert ends_of(Caller(engine).send(_texts(1)).finish())


def test_the_gauges_sum_what_the_ends_tell(engine: Engine) -> None:
    ends = ends_of(Caller(engine).send(_texts(12), stream=False).finish())
    gauges = engine.gauges
    waited = sum(end.queue_ms for end in ends) / 1000
    assert gauges.wait_seconds == pytest.approx(waited, abs=0.001)
    run = sum(end.total_ms for end in ends) / 1000 - waited
    assert gauges.run_seconds == pytest.approx(run, abs=0.001)
    assert gauges.wait_seconds > 0 and gauges.run_seconds > 0
    # Without beams a row has one slot, and makes a token in each step.
    assert gauges.slots_stepped == gauges.tokens
    assert gauges.steps < gauges.slots_stepped <= gauges.steps * engine.slots


def test_several_steps_are_one_call(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane, "CALL_SECONDS", SECONDS)
    engine = Engine(folder, Settings(1, limits=Limits(max_rows=64)))
    engine.start()
    ends = ends_of(Caller(engine).send(_texts(64), stream=False).finish())
    engine.stop()
    gauges = engine.gauges
    if (folder / MODEL_FILE).exists():
        # One for the first tokens of those who start, one for each length of an answer.
        assert gauges.calls <= 3 + len({end.output_tokens for end in ends})
    else:
        assert gauges.calls == gauges.steps
    assert 0 < gauges.host_seconds < gauges.run_seconds


@pytest.mark.parametrize("beams", [1, 2])
def test_a_row_whose_values_are_not_finite_ends_alone(
    folder: Path, beams: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what takes its slot is right: a masked position is still multiplied."""
    texts, options = _texts(4), {"stream": False, "num_beams": beams}
    engine = Engine(folder, Settings(1, limits=Limits(max_rows=4 * beams)))
    engine.start()
    expected = [end.text for end in ends_of(Caller(engine).send(texts, **options).finish())]
    running, bad = engine.lanes[0]._running, 1
    failed = running._failed

    def poisons() -> list[Row]:
        slots = running._slots
        if slots.rows == 4 * beams and slots.positions[0] == 2:
            slots.log_probs[bad] = np.nan
            if isinstance(slots.memory, ArrayMemory):
                for caches in (slots.memory.caches, slots.memory.cross):
                    for array in caches.arrays:  # type: ignore[attr-defined]
                        array[bad] = np.nan
        return failed()

    monkeypatch.setattr(lane, "MOST_STEPS", 1)
    monkeypatch.setattr(running, "_failed", poisons)
    ends = ends_of(Caller(engine).send(texts, **options).finish())
    monkeypatch.undo()
    again = [end.text for end in ends_of(Caller(engine).send(texts, **options).finish())]
    engine.stop()
    assert [end.message for end in ends if end.finish_reason is FinishReason.ERROR] == [
        lane.NOT_FINITE
    ]
    assert sum(end.text == text for end, text in zip(ends, expected, strict=True)) == 3
    assert again == expected


def test_beams_take_slots(engine: Engine) -> None:
    Caller(engine).send(_texts(1), stream=False, num_beams=3).finish()
    assert engine.gauges.slots_stepped == 3 * engine.gauges.steps


@contextmanager
def first_step_lasts(engine: Engine) -> Iterator[threading.Event]:
    """Keeps the lane in its next step, which is made when the event is set, until the block ends.

    A small model may have answered everything before a test has done what it does meanwhile.
    """
    session, made, over = engine.lanes[0]._session, threading.Event(), threading.Event()
    run = session.run

    def run_long(*arguments: Any) -> Advance:
        advance = run(*arguments)
        made.set()
        assert over.wait(SECONDS)
        return advance

    session.run = run_long  # type: ignore[method-assign]
    try:
        yield made
    finally:
        over.set()


def test_cancelling_frees_the_slots_and_leaves_the_others(engine: Engine) -> None:
    keep = _texts(3)
    expected = [end.text for end in ends_of(Caller(engine).send(keep, stream=False).finish())]
    with first_step_lasts(engine) as made:
        leaver = Caller(engine).send(_texts(40), name="leaver")
        stayer = Caller(engine).send(keep, name="stayer", stream=False)
        assert made.wait(SECONDS)
        engine.cancel("leaver")
    cancelled = ends_of(leaver.finish())
    assert len(cancelled) == 40
    assert cancelled[-1].finish_reason is FinishReason.CANCELLED
    assert [end.text for end in ends_of(stayer.finish())] == expected
    assert engine.waiting_rows == 0


def test_rows_wait_until_their_first_step(engine: Engine) -> None:
    """A lane that hangs in its encoder has rows: an alert asks for rows without steps."""
    entered, go_on = threading.Event(), threading.Event()
    session, caller = engine.lanes[0]._session, Caller(engine)
    encode = session.encode

    def encode_late(*arguments: Any) -> Any:
        entered.set()
        assert go_on.wait(SECONDS)
        return encode(*arguments)

    session.encode = encode_late  # type: ignore[method-assign]
    caller.send(_texts(7), stream=False)
    assert entered.wait(SECONDS)
    assert (engine.gauges.running, engine.waiting_rows) == (0, 7)
    go_on.set()
    assert len(ends_of(caller.finish())) == 7
    assert engine.waiting_rows == 0


def test_cancelled_rows_get_no_step_more(engine: Engine) -> None:
    """A session that may make many steps comes back after the one that runs."""
    one, caller = engine.lanes[0], Caller(engine)
    steps_at_cancellation: list[int] = []
    run = one._session.run

    def cancel_then_run(*arguments: Any) -> Advance:
        if one.gauges.steps and not steps_at_cancellation:
            engine.cancel("leaver")
            steps_at_cancellation.append(one.gauges.steps)
        return run(*arguments)

    text = _longest_running(engine)
    one._session.run = cancel_then_run  # type: ignore[method-assign]
    one.gauges.steps = 0
    caller.send([text], name="leaver", stream=False)
    (end,) = ends_of(caller.finish())
    assert end.finish_reason is FinishReason.CANCELLED
    assert one.gauges.steps - steps_at_cancellation[0] <= 1
    assert end.output_tokens <= 2


def _longest_running(engine: Engine) -> str:
    texts = _texts(40)
    ends = ends_of(Caller(engine).send(texts, stream=False).finish())
    return texts[max(ends, key=lambda end: end.output_tokens).index]


def test_rows_are_spread_over_the_lanes(folder: Path) -> None:
    engine = Engine(folder, Settings(3, limits=Limits(max_rows=4)))
    engine.start()
    try:
        ends = ends_of(Caller(engine).send(_texts(12), stream=False).finish())
    finally:
        engine.stop()
    assert len(ends) == 12
    assert all(lane.gauges.tokens for lane in engine.lanes)
    assert engine.gauges.tokens == sum(end.output_tokens for end in ends)
    assert [lane.open_rows for lane in engine.lanes] == [0, 0, 0]


def test_a_passed_deadline_cancels_running_and_waiting_rows(engine: Engine) -> None:
    ends = ends_of(Caller(engine).send(_texts(40), deadline_ms=1).finish())
    assert len(ends) == 40
    assert {end.finish_reason for end in ends[10:]} == {FinishReason.CANCELLED}


def test_bulk_waits_for_interactive(engine: Engine) -> None:
    bulk, interactive = Caller(engine), Caller(engine)
    done: list[int] = []

    def sink(events: list[Event], last: bool) -> None:
        """Counts what is done of the bulk in the lane's thread, which does no more meanwhile."""
        while not bulk.inbox.empty():
            bulk.next()
        done.append(len(ends_of(bulk.events)))
        interactive.inbox.put((events, last))

    with first_step_lasts(engine) as made:
        bulk.send(_texts(40), name="bulk", priority=Priority.BULK)
        assert made.wait(SECONDS)
        engine.submit(Request("now", _texts(1), Options(), sink))
    interactive.finish()
    assert done[-1] < 40
    assert len(ends_of(bulk.finish())) == 40


def test_a_failing_step_ends_its_rows_with_error_and_the_engine_lives_on(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("out of luck")

    with monkeypatch.context() as patch:
        patch.setattr(engine.lanes[0]._session, "run", fail)
        (end,) = ends_of(Caller(engine).send(_texts(1)).finish())
    assert end.finish_reason is FinishReason.ERROR
    assert "out of luck" in end.message
    (end,) = ends_of(Caller(engine).send(_texts(1)).finish())
    assert end.finish_reason in (FinishReason.EOS, FinishReason.LENGTH)


def test_a_failing_encoder_ends_its_rows_with_error(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("no memory")

    with monkeypatch.context() as patch:
        patch.setattr(engine.lanes[0]._session, "encode", fail)
        ends = ends_of(Caller(engine).send(_texts(6)).finish())
    assert {end.finish_reason for end in ends} == {FinishReason.ERROR}
    assert ends_of(Caller(engine).send(_texts(1)).finish())[0].message == ""


def test_stopping_ends_what_runs(folder: Path) -> None:
    engine = Engine(folder, Settings(2, limits=Limits(max_rows=2)))
    engine.start()
    texts = _texts(600)
    caller = Caller(engine).send(texts, stream=False)
    engine.stop()
    ends = ends_of(caller.finish())
    assert len(ends) == len(texts)
    assert ends[-1].finish_reason is FinishReason.CANCELLED


def test_times_are_in_order(engine: Engine) -> None:
    began = time.monotonic()
    (end,) = ends_of(Caller(engine).send(_texts(1)).finish())
    assert 0 <= end.queue_ms <= end.first_token_ms <= end.total_ms
    assert end.total_ms <= 1000 * (time.monotonic() - began) + 1
    assert end.score < 0


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"beam": 4}, "unknown option 'beam'"),
        ({"max_new_tokens": -1}, "max_new_tokens must be a whole number"),
        ({"max_new_tokens": True}, "max_new_tokens must be a whole number"),
        ({"deadline_ms": "1"}, "deadline_ms must be a whole number"),
        ({"priority": "urgent"}, "priority must be"),
        ({"stream": 1}, "stream must be true or false"),
    ],
)
def test_wrong_options_are_named(raw: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidOptionsError, match=message):
        parse_options(raw)
