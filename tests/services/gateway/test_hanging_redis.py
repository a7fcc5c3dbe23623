"""A Redis that hangs: it takes connections, and never answers."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from gateway_stack import MakeStack, Stack, wait_until
from jobs_bench import Bench, make_bench
from redis_server import RedisServer, binaries
from seqway.v1 import job_pb2 as pb
from seqway.v1 import model_pb2
from seqway.v1.translation_pb2 import TranslateRequest

# What needs Redis must be over by then; the timeouts of the libraries were 5 and 30 s.
MOST_SECONDS = 4.5
TASK = TranslateRequest(source_language_code="en", target_language_code="fr")
# So many characters are cut in a thread; few sentences take the twin little time.
LONG_TEXT = "Antidisestablishmentarianism notwithstanding. " * 200


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(binaries()["valkey"], tmp_path)
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def stack(
    make_stack: MakeStack, server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Stack:
    """Its patience with Redis is so short that nearly all of `MOST_SECONDS` is left to work."""
    monkeypatch.setattr("services.gateway.admission.quotas._MOST_PATIENCE", 0.2)
    monkeypatch.setattr("services.jobs.service._REDIS_PATIENCE", 0.2)
    monkeypatch.setattr("services.gateway.api.jobs.wake_ups._MOST_SECONDS", 0.3)
    return await make_stack(
        job_store=f"file://{tmp_path}/store",
        redis_url=server.url,
        limits_store="redis",
        tenant_limits={"*": {"requests_per_minute": 10_000}},
        chunk_items=2,
        chunk_lease=0.1,
    )


@pytest.fixture
def bench(server: RedisServer, tmp_path: Path) -> Iterator[Bench]:
    bench = make_bench(server.url, f"file://{tmp_path}/store")
    yield bench
    bench.close()


@asynccontextmanager
async def hanging(server: RedisServer) -> AsyncIterator[None]:
    server.freeze()
    try:
        yield
    finally:
        server.thaw()


async def created(stack: Stack, lines: int = 4) -> str:
    async def requests() -> AsyncIterator[pb.CreateJobRequest]:
        yield pb.CreateJobRequest(spec=pb.JobSpec(translate=TASK))
        yield pb.CreateJobRequest(data=b'{"text": "a line"}\n' * lines)

    return str((await stack.jobs.CreateJob(requests())).job.id)


async def within(call: Awaitable[Any], seconds: float = MOST_SECONDS) -> Any:
    async with asyncio.timeout(seconds):
        return await call


async def test_nothing_waits_for_it(stack: Stack, server: RedisServer, bench: Bench) -> None:
    """The store has what was asked for, and the reconciler tells Redis later."""
    ended = await created(stack)
    await asyncio.to_thread(bench.settle, ended)
    waiting = await created(stack)
    calls: list[Callable[[], Awaitable[Any]]] = [
        lambda: stack.jobs.GetJob(pb.GetJobRequest(id=ended)),
        lambda: stack.jobs.ListJobs(pb.ListJobsRequest()),
        lambda: stack.models.ListModels(model_pb2.ListModelsRequest()),
        lambda: stack.translation.Translate(
            TranslateRequest(
                contents=[LONG_TEXT],
                source_language_code="en",
                target_language_code="fr",
            )
        ),
        lambda: _read(stack, ended),
        lambda: anext(aiter(stack.jobs.WatchJob(pb.WatchJobRequest(id=ended)))),
        lambda: stack.jobs.CancelJob(pb.CancelJobRequest(id=waiting)),
        lambda: created(stack),
    ]
    async with hanging(server):
        made = [asyncio.create_task(within(created(stack))) for _ in range(8)]
        cancelled = [
            asyncio.create_task(within(stack.jobs.CancelJob(pb.CancelJobRequest(id=waiting))))
            for _ in range(8)
        ]
        for call in calls * 3:
            await within(call())
        jobs = await asyncio.gather(*made)
        assert all(each.job.cancel_requested for each in await asyncio.gather(*cancelled))
    for job in (*jobs, waiting):
        await asyncio.to_thread(bench.settle, job)
    assert bench.progress(jobs[0]).state == "SUCCEEDED"
    assert bench.progress(waiting).state == "CANCELLED"


async def _read(stack: Stack, job: str) -> int:
    stream = stack.jobs.ReadResults(pb.ReadResultsRequest(id=job, no_wait=True))
    return sum([len(message.results) async for message in stream])


async def test_a_job_that_is_resumed_meanwhile_runs_later(
    stack: Stack, server: RedisServer, bench: Bench
) -> None:
    job = await created(stack)
    await stack.jobs.CancelJob(pb.CancelJobRequest(id=job))
    await asyncio.to_thread(bench.settle, job)
    async with hanging(server):
        resumed = await within(stack.jobs.ResumeJob(pb.ResumeJobRequest(id=job)))
        assert resumed.job.run == 2
    await asyncio.to_thread(bench.settle, job)
    assert bench.progress(job).state == "SUCCEEDED"


async def test_it_is_told_again_when_it_answers(
    stack: Stack, server: RedisServer, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.gateway.api.jobs.wake_ups._AWAY_SECONDS", 0.2)
    async with hanging(server):
        await within(created(stack))

    async def is_told() -> bool:
        job = await created(stack)
        return bool(await asyncio.to_thread(bench.board.known, job))

    await wait_until(is_told)
