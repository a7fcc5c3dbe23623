"""What is taken on: by tokens in flight, and by what the deadline leaves."""

import asyncio
from typing import Any

import grpc
import pytest
from gateway_stack import MakeStack, Stack, failure, wait_until
from seqway.v1 import model_pb2
from seqway.v1 import translation_pb2 as pb

from services.gateway.admission.capacity import PLACE, Capacity
from services.gateway.admission.estimates import Work, WorkEstimator
from services.inference.errors import OverloadError
from services.inference.rows.account import Account

FULL = ("RESOURCE_EXHAUSTED", "OVERLOADED", "")


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_tokens_are_estimated_from_the_calls_before() -> None:
    load = WorkEstimator(Clock())
    assert load.tokens(100) == 50
    for _ in range(200):
        load.note(Work(characters=100, tokens=20, waited=0, total=0, ahead=0))
    assert 20 <= load.tokens(100) <= 22


def test_the_wait_grows_with_what_is_ahead_and_is_forgotten() -> None:
    clock = Clock()
    load = WorkEstimator(clock)
    assert load.wait(10_000) == 0
    for _ in range(300):
        clock.now += 0.05
        load.note(Work(characters=100, tokens=50, waited=2.0, total=2.5, ahead=1000))
    assert load.wait(1000) == pytest.approx(2.0, rel=0.12)
    assert load.wait(2000) == pytest.approx(4.0, rel=0.12)
    assert load.answer(50, 1000) == pytest.approx(2.5, rel=0.15)
    clock.now += 60
    assert load.wait(2000) < 0.01
    for _ in range(100):
        clock.now += 0.05
        load.note(Work(characters=100, tokens=50, waited=0.0, total=0.5, ahead=1000))
    assert load.wait(1000) == pytest.approx(0.0, abs=0.01)
    assert load.answer(50, 1000) == pytest.approx(0.5, rel=0.15)


def test_short_calls_tell_nothing_of_long_lines() -> None:
    load = WorkEstimator(Clock())
    for _ in range(200):
        load.note(Work(characters=6, tokens=6, waited=0.02, total=0.07, ahead=3))
    assert load.answer(6, 2000) < 1.0
    load.note(Work(characters=6, tokens=6, waited=0.3, total=0.35, ahead=1))
    assert load.wait(2000) < 1.0
    assert load.tokens(20_000) <= 20_000


def test_calls_that_nobody_answered_tell_of_the_wait_too() -> None:
    """Else an overload in which every call is too late would teach nothing."""
    clock = Clock()
    load = WorkEstimator(clock)
    for _ in range(200):
        clock.now += 0.05
        load.note_unfinished(100, 2.0, 1000, has_begun=False)
    assert load.wait(1000) > 2.0
    assert load.answer(50, 1000) > 2.0
    load.note_unfinished(100, 0.1, 1000, has_begun=False)  # that caller left early
    assert load.wait(1000) > 2.0
    assert load.answer(50, 1000) > 2.0


async def waiting(capacity: Capacity, seconds: float) -> None:
    """Has calls tell that they waited so long behind a hundred tokens."""
    with capacity.enter(200, None):
        for _ in range(200):
            with capacity.enter(200, None):
                place = PLACE.get()
                assert place is not None
                account = Account("en-fr_int8", queue=seconds, total=seconds)
                account.input_tokens = account.output_tokens = 50
                place.note(account)


async def test_a_call_that_would_wait_beyond_its_deadline_is_refused_with_a_hint() -> None:
    capacity = Capacity(calls=100, tokens=100_000, retry_delay=0.5)
    await waiting(capacity, 3.0)
    with capacity.enter(100, 1.0):  # nothing is ahead of it
        pass
    with capacity.enter(200, None):
        with pytest.raises(OverloadError, match="would take about") as caught:
            capacity.enter(10, 1.0).__enter__()
        assert caught.value.retry_delay == pytest.approx(1.0, rel=0.8)
        with capacity.enter(10, 30.0), capacity.enter(10, None), capacity.enter(0, 0.1):
            pass


def translate(stack: Stack, characters: int, timeout: float | None = None) -> Any:
    request = pb.TranslateRequest(
        contents=[("Hello there. " * characters)[:characters]],
        source_language_code="en",
        target_language_code="fr",
    )
    return stack.translation.Translate(request, timeout=timeout)


async def is_full(stack: Stack, characters: int, message: str = "tokens") -> bool:
    """Whether a call is refused for want of room, with such a message."""
    try:
        await translate(stack, characters, timeout=0.1)
    except grpc.aio.AioRpcError as error:
        return error.code().name == FULL[0] and message in str(error.details())
    return False


async def test_overload_is_learned_from_calls_that_come_too_late(make_stack: MakeStack) -> None:
    stack = await make_stack()
    stack.twin.gate.clear()
    held = translate(stack, 2000)
    await wait_until(lambda: stack.twin.running > 0)

    async def late() -> str:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await translate(stack, 100, timeout=0.3)
        return str(caught.value.code().name)

    assert await late() == "DEADLINE_EXCEEDED"
    codes: list[str] = []
    while "RESOURCE_EXHAUSTED" not in codes:
        assert len(codes) < 300
        codes += await asyncio.gather(*(late() for _ in range(10)))
    assert set(codes) <= {"DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED"}
    stack.twin.gate.set()
    assert await held


async def test_tokens_in_flight_are_bounded(make_stack: MakeStack) -> None:
    stack = await make_stack(max_tokens_in_flight=1000)
    stack.twin.gate.clear()
    large = [translate(stack, 5000) for _ in range(4)]
    await wait_until(lambda: is_full(stack, 10))
    assert await stack.models.ListModels(model_pb2.ListModelsRequest()), "has no text"
    stack.twin.gate.set()
    for call in large:
        assert await call, "what is larger than a quarter counts for that"
    assert await translate(stack, 10)


async def test_streams_that_began_and_calls_without_text_say_nothing_of_waiting() -> None:
    capacity = Capacity(calls=100, tokens=100_000, retry_delay=0.5)
    with capacity.enter(200, None):
        for characters, begins in ((200, True), (0, False)):
            with pytest.raises(asyncio.CancelledError), capacity.enter(characters, None):
                place = PLACE.get()
                assert place is not None
                if begins:
                    place.begin()
                place._began -= 3600
                raise asyncio.CancelledError
        with capacity.enter(200, 1.0):
            pass


async def test_a_large_call_finds_room_beside_small_ones() -> None:
    capacity = Capacity(calls=100, tokens=1000, retry_delay=0.5)
    with capacity.enter(100, None), capacity.enter(4_000_000, None):
        pass


async def test_nobody_waits_behind_a_tenant_that_gives_way() -> None:
    capacity = Capacity(calls=100, tokens=100_000, retry_delay=0.5)
    await waiting(capacity, 3.0)
    with capacity.enter(4000, None, "many"):
        with pytest.raises(OverloadError):
            capacity.enter(10, 1.0, "many").__enter__()
        for _ in range(200):
            with capacity.enter(10, 1.0, "few"):
                place = PLACE.get()
                assert place is not None
                place.note(Account("en-fr_int8", queue=0.0, total=0.0))
        with pytest.raises(OverloadError):
            capacity.enter(10, 1.0, "many").__enter__()
        with capacity.enter(3000, None, "few"), pytest.raises(OverloadError):
            capacity.enter(10, 1.0, "few").__enter__()


async def test_places_come_back_however_a_call_ends(make_stack: MakeStack) -> None:
    stack = await make_stack(max_calls=1, max_tokens_in_flight=1000)
    for _ in range(3):
        stack.twin.gate.clear()
        call = translate(stack, 900)
        await wait_until(lambda: stack.twin.running > 0)
        call.cancel()
        await wait_until(lambda: stack.twin.running == 0)
        stack.twin.gate.set()
        assert await failure(stack.translation.Translate(pb.TranslateRequest())) == (
            "INVALID_ARGUMENT",
            "FIELD_REQUIRED",
            "target_language_code",
        )
        with pytest.raises(grpc.aio.AioRpcError):
            await stack.channel.unary_unary("/seqway.v1.TranslationService/Translate")(b"\xff")
        assert await translate(stack, 900)


async def test_the_estimate_learns_from_answers(make_stack: MakeStack) -> None:
    """The twin has a token for four characters and answers a word for a word."""
    stack = await make_stack(max_tokens_in_flight=3500)
    for _ in range(100):
        await translate(stack, 1300)
    stack.twin.gate.clear()
    calls = [translate(stack, 2000) for _ in range(4)]

    await wait_until(lambda: is_full(stack, 2000, "have about 3,0"))
    stack.twin.gate.set()
    for call in calls:
        assert await call
