"""The pure parts of the open loop, and its clock."""

import asyncio
import math
import statistics
import time
from collections.abc import Sequence
from typing import Self

import pytest
from seqway import OverloadedError

from tests.benchmarks.open_loop.arrivals import poisson
from tests.benchmarks.open_loop.batcher import DynamicBatcher
from tests.benchmarks.open_loop.footprint import Footprint
from tests.benchmarks.open_loop.levels import Service, fastest_of_each_name
from tests.benchmarks.open_loop.load import capacity, open_loop
from tests.benchmarks.speed.spread import spread


def test_arrivals_are_a_poisson_process_that_comes_again() -> None:
    moments = poisson(50.0, 20_000, seed=1)
    assert moments == poisson(50.0, 20_000, seed=1) != poisson(50.0, 20_000, seed=2)
    gaps = [after - before for before, after in zip([0.0, *moments], moments, strict=False)]
    assert min(gaps) >= 0
    assert statistics.mean(gaps) == pytest.approx(1 / 50, rel=0.05)
    assert statistics.stdev(gaps) == pytest.approx(1 / 50, rel=0.05)


class Twin:
    """A service in memory: it blocks its client once, and refuses what it is told to."""

    def __init__(self, blocks: float = 0.0) -> None:
        self._blocks = blocks

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None: ...

    async def call(self, text: str) -> float:
        time.sleep(self._blocks)  # noqa: ASYNC251
        self._blocks = 0.0
        if text == "refused":
            raise OverloadedError("no room")
        return time.monotonic()


async def test_a_call_that_the_client_sends_late_counts_from_when_it_was_due() -> None:
    times = await open_loop(Twin(blocks=0.3), ["a", "b"], [0.0, 0.01])
    assert all(each.whole >= 0.28 for each in times)


async def test_a_refused_call_is_endless() -> None:
    times = await open_loop(Twin(), ["refused", "a"], [0.0, 0.0])
    assert [math.isinf(each.whole) for each in times] == [True, False]
    assert await capacity(Twin(), ["refused"] * 3, 2) == 0


def test_of_one_name_the_fastest_is_kept() -> None:
    services = [Service(name, setting, (), Twin) for name in ("a", "b") for setting in ("x", "y")]
    speeds = [spread([value]) for value in (1.0, 2.0, 4.0, 3.0)]
    kept = fastest_of_each_name(dict(zip(services, speeds, strict=True)))
    assert [(each.name, each.setting) for each in kept] == [("a", "y"), ("b", "x")]


async def test_a_busy_worker_gathers_a_batch_of_what_comes() -> None:
    batches: list[Sequence[str]] = []
    begun, busy = asyncio.Event(), asyncio.Event()

    async def translate(texts: Sequence[str]) -> list[str]:
        batches.append(texts)
        begun.set()
        await busy.wait()
        return [text.upper() for text in texts]

    async with DynamicBatcher(translate, workers=1, max_batch=2) as batcher:
        calls = [asyncio.create_task(batcher(text)) for text in "abcd"]
        await begun.wait()
        busy.set()
        assert await asyncio.gather(*calls) == list("ABCD")
    assert [list(batch) for batch in batches] in (
        [["a"], ["b", "c"], ["d"]],
        [["a", "b"], ["c", "d"]],
    )


async def test_each_caller_of_a_batch_gets_its_failure() -> None:
    async def translate(_: Sequence[str]) -> list[str]:
        raise ValueError("no model")

    async with DynamicBatcher(translate, workers=1, max_batch=8) as batcher:
        results = await asyncio.gather(batcher("a"), batcher("b"), return_exceptions=True)
    assert [str(each) for each in results] == ["no model"] * 2


def test_the_processor_time_of_a_process_that_has_ended_is_not_known() -> None:
    before = Footprint(5.0, 100, frozenset({1, 2}))
    assert Footprint(6.0, 100, frozenset({1, 2, 3})).cpu_since(before) == 1.0
    assert math.isnan(Footprint(2.0, 100, frozenset({1, 3})).cpu_since(before))
