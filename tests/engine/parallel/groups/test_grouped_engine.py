"""Two real groups: they answer as one engine does, also while one of them is broken."""

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.contract.events import End, FinishReason, Ready, Refused, TooLong
from engine.parallel.groups.routed_row import RoutedRow
from engine.runtime.batching.lane import NOT_FINITE
from engine.runtime.engine import Engine
from tests.engine.caller import Caller, ends_of
from tests.engine.conftest import read_sources
from tests.engine.parallel.groups.crew import BOUNDS, SETTINGS, Crew, answers, wait_until

SLACK = 2.0
"""How much later than its bound a hang may show on a busy machine."""


@pytest.fixture(scope="module")
def single(served: Path) -> Iterator[Engine]:
    engine = Engine(served, SETTINGS)
    engine.start()
    yield engine
    engine.stop()


def texts(count: int) -> list[str]:
    return [text for text in read_sources(400) if len(text) < 100][:count]


def expected(single: Engine, asked: list[str], **options: Any) -> dict[int, tuple[Any, ...]]:
    return answers(Caller(single).send(asked, **options).finish())


@pytest.mark.parametrize(
    "options",
    [
        {"stream": False, "token_ids": True},
        {"stream": True},
        {"stream": False, "num_beams": 3, "num_hypotheses": 2, "alignment": True},
        {"stream": False, "sample": True, "seed": 7},
        {"stream": False, "sample": True, "seed": list(range(20))},
        {"stream": True, "target_prefix": ["a", "", *["le "] * 18]},
    ],
)
def test_groups_answer_as_one_engine(pair: Crew, single: Engine, options: Any) -> None:
    assert answers(pair.send(texts(20), **options).finish()) == expected(
        single, texts(20), **options
    )


def test_rows_of_a_request_go_to_all_groups(pair: Crew) -> None:
    before = [group.gauges.tokens for group in pair.engine.groups]
    pair.send(texts(20), stream=False).finish()
    wait_until(
        lambda: all(
            group.gauges.tokens > tokens
            for group, tokens in zip(pair.engine.groups, before, strict=True)
        )
    )
    assert pair.engine.slots == 2 * SETTINGS.limits.max_rows
    wait_until(lambda: pair.engine.gauges.running == pair.engine.waiting_rows == 0)
    assert len(pair.engine.take_first_token_seconds()) >= 20


def test_what_can_not_be_run_is_refused_as_ever(pair: Crew) -> None:
    (wrong,) = pair.send(texts(2), num_beams=2, seed=1).finish()
    assert isinstance(wrong, Refused) and wrong.option == "seed"
    long, end = pair.send(["a long text " * 80, texts(1)[0]], stream=False).finish()
    assert isinstance(long, TooLong) and isinstance(end, End) and end.index == 1
    before = pair.engine.refused_rows
    (full,) = pair.send(texts(1) * 100).finish()
    assert isinstance(full, Refused) and full.reason == "QUEUE_FULL"
    assert pair.engine.refused_rows == before + 100


def test_no_answer_is_lost_or_doubled_when_a_group_is_killed(pair: Crew, single: Engine) -> None:
    pair.order("slow")
    restarts, rerun = pair.engine.restarts, pair.engine.rerun_rows
    streamed = pair.send(texts(20), "streamed", stream=True)
    whole = pair.send(texts(40)[20:], "whole", stream=False)
    streamed.next()  # some have been told the beginning
    pair.hurt(0)
    assert answers(streamed.finish()) == expected(single, texts(20), stream=True)
    assert answers(whole.finish()) == expected(single, texts(40)[20:], stream=False)
    assert pair.engine.restarts == restarts + 1
    assert pair.engine.rerun_rows > rerun
    pair.wait_for_restarts(restarts + 1)


def test_a_group_that_hangs_is_found_and_the_other_answers(pair: Crew, single: Engine) -> None:
    pair.order("slow")
    restarts = pair.engine.restarts
    caller = pair.send(texts(20), stream=True)
    caller.next()
    pair.hurt(1, with_signal=signal.SIGSTOP)
    began = time.monotonic()
    probe = pair.send([], "probe")
    assert probe.finish() == [Ready()]
    assert time.monotonic() - began < BOUNDS.silence + SLACK
    assert pair.engine.restarts == restarts + 1
    assert answers(caller.finish()) == expected(single, texts(20), stream=True)


def test_a_lane_that_hangs_is_found(pair: Crew, single: Engine) -> None:
    pair.order("stall")
    restarts = pair.engine.restarts
    began = time.monotonic()
    caller = pair.send(texts(20), stream=False)
    wait_until(lambda: pair.engine.restarts == restarts + 1)
    assert time.monotonic() - began < BOUNDS.round + SLACK
    assert answers(caller.finish()) == expected(single, texts(20), stream=False)


def test_a_front_that_was_stopped_itself_blames_no_group(
    pair: Crew, single: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    restarts, said = pair.engine.restarts, pair.engine.group_said

    def hold(*arguments: Any) -> None:
        monkeypatch.undo()
        time.sleep(BOUNDS.silence + 0.5)
        said(*arguments)

    monkeypatch.setattr(pair.engine, "group_said", hold)
    caller = pair.send(texts(8), stream=False)
    assert answers(caller.finish()) == expected(single, texts(8), stream=False)
    assert pair.engine.restarts == restarts


def test_rows_of_a_group_that_lost_its_device_run_elsewhere(pair: Crew, single: Engine) -> None:
    pair.order("lose")
    restarts = pair.engine.restarts
    caller = pair.send(texts(20), stream=True)
    assert answers(caller.finish()) == expected(single, texts(20), stream=True)
    wait_until(lambda: pair.engine.restarts == restarts + 1)


def test_a_row_whose_values_are_no_numbers_ends_alone(pair: Crew) -> None:
    pair.order("slow")
    pair.order("nan")
    restarts = pair.engine.restarts
    ends = ends_of(pair.send(texts(10), stream=False).finish())
    assert [end.message for end in ends if end.finish_reason is FinishReason.ERROR] == [NOT_FINITE]
    assert len(ends) == 10 and pair.engine.restarts == restarts


def test_a_row_that_ends_groups_is_given_up_and_its_neighbours_are_not(
    pair: Crew, single: Engine
) -> None:
    asked = texts(12)
    (row,) = pair.engine._intake.planner.plan(  # type: ignore[union-attr]
        _request(asked[5]), time.monotonic()
    )
    pair.order("poison", json.dumps(row.plan.source))
    found = answers(pair.send(asked, stream=False).finish())
    whole = expected(single, asked, stream=False)
    assert found.pop(5)[1] is FinishReason.ERROR
    del whole[5]
    assert found == whole


def _request(text: str) -> Any:
    from engine.contract.options import Options
    from engine.runtime.request import Request

    return Request("poison", [text], Options(), lambda *_: None)


def test_a_cancel_reaches_all_groups(pair: Crew) -> None:
    pair.order("slow")
    caller, other = pair.send(texts(40), "left"), pair.send(texts(2), "stays", stream=False)
    wait_until(lambda: all(group.gauges.running for group in pair.engine.groups))
    began = time.monotonic()
    pair.engine.cancel("left")
    ends = ends_of(caller.finish())
    assert time.monotonic() - began < 1.0
    assert len(ends) == 40
    assert {end.finish_reason for end in ends} <= {FinishReason.CANCELLED, FinishReason.EOS}
    assert all(end.finish_reason is not FinishReason.CANCELLED for end in ends_of(other.finish()))


def test_rows_wait_while_no_group_lives(pair: Crew, single: Engine) -> None:
    pair.order("slow")
    restarts = pair.engine.restarts
    caller = pair.send(texts(20), stream=True)
    caller.next()
    pair.hurt(0)
    pair.hurt(1)
    wait_until(lambda: not pair.engine.live_groups)
    probe = pair.send([], "probe")
    late = pair.send(texts(3), "late", stream=False, deadline_ms=50)
    left = pair.send(texts(3), "left", stream=False)
    pair.engine.cancel("left")
    for hopeless in (late, left):
        ends = ends_of(hopeless.finish())
        assert [end.finish_reason for end in ends] == [FinishReason.CANCELLED] * 3
    assert answers(caller.finish()) == expected(single, texts(20), stream=True)
    assert probe.finish() == [Ready()]
    pair.wait_for_restarts(restarts + 2)


def test_an_answer_that_differs_is_no_answer(pair: Crew, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the other group made another one: what was told is taken for something else."""
    whole = RoutedRow.restart

    def restart(routed: RoutedRow) -> None:
        whole(routed)
        routed._repeated = routed._repeated and f"~{routed._repeated}"

    monkeypatch.setattr(RoutedRow, "restart", restart)
    pair.order("slow")
    caller = pair.send(texts(1), stream=True)
    caller.next()
    (share,) = pair.engine._ledger.shares.values()
    pair.hurt(share.group)
    (end,) = ends_of(caller.finish())
    assert end.finish_reason is FinishReason.ERROR and "ask again" in end.message
