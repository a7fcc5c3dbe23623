"""Uploads that stand still or drip: they end with a reason, and hold up nobody."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from gateway_stack import MakeStack, Stack, failure, wait_until
from seqway.v1 import job_pb2 as pb
from seqway.v1.translation_pb2 import TranslateRequest

LINE = b'{"text": "a line"}\n'
TASK = TranslateRequest(source_language_code="en", target_language_code="fr")
SPEC = pb.CreateJobRequest(spec=pb.JobSpec(translate=TASK))
OTHER = [("x-seqway-tenant", "other")]


@pytest.fixture
def make(make_stack: MakeStack, tmp_path: Path) -> Callable[..., Any]:
    async def make(**settings: object) -> Stack:
        return await make_stack(
            job_store=f"file://{tmp_path}/store", redis_url="redis://127.0.0.1:1/0", **settings
        )

    return make


def objects(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "store").rglob("*") if path.is_file()]


async def stands_still(*first: bytes) -> AsyncIterator[pb.CreateJobRequest]:
    yield SPEC
    for data in first:
        yield pb.CreateJobRequest(data=data)
    await asyncio.sleep(600)


async def drips(data: bytes, pause: float = 0.19) -> AsyncIterator[pb.CreateJobRequest]:
    """Sends the same again and again, for longer than any test takes.

    The pauses keep it from sending just when the gateway ends a call, after 0.3 s or 1 s: grpc.aio
    may then report that it could not send, in place of the status.
    """
    yield SPEC
    while True:
        yield pb.CreateJobRequest(data=data)
        await asyncio.sleep(pause)


async def whole(data: bytes = LINE) -> AsyncIterator[pb.CreateJobRequest]:
    yield SPEC
    yield pb.CreateJobRequest(data=data)


def threads(name: str) -> int:
    return sum(each.name.startswith(name) for each in threading.enumerate())


async def test_idle_uploads_hold_up_nobody(make: Callable[..., Any]) -> None:
    """Of the caller itself, or of another: everything that needs a thread goes on."""
    stack = await make()
    before = threads("upload")
    idle = [stack.jobs.CreateJob(stands_still(LINE)) for _ in range(64)]
    async with grpc.aio.insecure_channel(
        f"127.0.0.1:{stack.gateway.port}", options=[("grpc.use_local_subchannel_pool", 1)]
    ) as channel:
        other = Stack(stack.twin, stack.gateway, channel)
        await wait_until(lambda: stack.gateway._jobs._streams._of_tenants.total() == 64)  # type: ignore[union-attr]
        async with asyncio.timeout(60):
            for metadata in ([], OTHER):
                job = (await other.jobs.CreateJob(whole(), metadata=metadata)).job
                await other.jobs.GetJob(pb.GetJobRequest(id=job.id), metadata=metadata)
                await other.jobs.ListJobs(pb.ListJobsRequest(), metadata=metadata)
                results = other.jobs.ReadResults(
                    pb.ReadResultsRequest(id=job.id, no_wait=True), metadata=metadata
                )
                assert [each async for each in results] == []
                await anext(
                    aiter(other.jobs.WatchJob(pb.WatchJobRequest(id=job.id), metadata=metadata))
                )
                long = TranslateRequest(
                    contents=["Hello there. " * 1000],
                    source_language_code="en",
                    target_language_code="fr",
                )
                assert await other.translation.Translate(long, metadata=metadata)
                await other.jobs.CancelJob(pb.CancelJobRequest(id=job.id), metadata=metadata)
    assert threads("upload") - before <= 8
    for call in idle:
        call.cancel()


async def test_an_upload_that_stands_still_is_ended(
    make: Callable[..., Any], tmp_path: Path
) -> None:
    stack = await make(upload_idle=0.3)
    for requests in (
        stands_still(),
        stands_still(LINE),
        stands_still(LINE * 10_000),
        drips(b""),  # messages without a byte are none
    ):
        code, reason, _ = await failure(stack.jobs.CreateJob(requests))
        assert (code, reason) == ("DEADLINE_EXCEEDED", "UPLOAD_IDLE")
    await wait_until(lambda: not objects(tmp_path))


async def test_an_upload_before_its_first_message_is_ended(make: Callable[..., Any]) -> None:
    stack = await make(upload_idle=0.3)

    async def nothing() -> AsyncIterator[pb.CreateJobRequest]:
        await asyncio.sleep(600)
        yield SPEC

    code, reason, _ = await failure(stack.jobs.CreateJob(nothing()))
    assert (code, reason) == ("DEADLINE_EXCEEDED", "UPLOAD_IDLE")


async def test_an_upload_that_drips_ends_with_the_deadline_of_all_calls(
    make: Callable[..., Any], tmp_path: Path
) -> None:
    stack = await make(default_deadline=1.0)
    code, reason, _ = await failure(stack.jobs.CreateJob(drips(b"x")))
    assert (code, reason) == ("DEADLINE_EXCEEDED", "DEADLINE_PASSED")
    await wait_until(lambda: not objects(tmp_path))


async def test_no_deadline_of_a_caller_is_endless(make: Callable[..., Any]) -> None:
    stack = await make(longest_deadline=1.0)
    code, reason, _ = await failure(stack.jobs.CreateJob(drips(b"x"), timeout=10_000))
    assert (code, reason) == ("DEADLINE_EXCEEDED", "DEADLINE_PASSED")


async def test_streams_that_wait_for_a_job_end_in_turn_and_go_on(
    make: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The status is one that clients answer with another stream, after a sign of life."""
    # They end after 0.5 s, long before their deadline.
    monkeypatch.setattr("services.gateway.api.jobs.stream_limits._MARGIN", 0.95)
    monkeypatch.setattr("services.gateway.api.jobs.stream_limits._MOST_MARGIN_SECONDS", 10.0)
    stack = await make(default_deadline=10.0)
    job = (await stack.jobs.CreateJob(whole())).job
    watch = stack.jobs.WatchJob(pb.WatchJobRequest(id=job.id))
    first = await anext(aiter(watch))
    for _ in range(2):
        code, reason, _ = await failure(_drained(watch))
        assert (code, reason) == ("UNAVAILABLE", "STREAM_ENDED")
        again = pb.WatchJobRequest(id=job.id, resume_token=first.resume_token)
        watch = stack.jobs.WatchJob(again)
        assert (await anext(aiter(watch))).resume_token == first.resume_token
    watch.cancel()
    results = stack.jobs.ReadResults(pb.ReadResultsRequest(id=job.id))
    empty = await anext(aiter(results))
    assert not empty.results and empty.resume_token
    assert (await failure(_drained(results)))[1] == "STREAM_ENDED"
    again = pb.ReadResultsRequest(id=job.id, resume_token=empty.resume_token, no_wait=True)
    assert [each async for each in stack.jobs.ReadResults(again)] == []


async def _drained(call: Any) -> None:
    async for _ in call:
        pass


async def test_streams_of_jobs_leave_room_for_other_calls(make: Callable[..., Any]) -> None:
    """A tenant has two thirds of them at most, and all together leave calls to others."""
    stack = await make(max_job_streams=3, max_calls=4)
    job = (await stack.jobs.CreateJob(whole(), metadata=OTHER)).job
    calls = [stack.jobs.CreateJob(stands_still(LINE)) for _ in range(2)]
    streams = stack.gateway._jobs._streams  # type: ignore[union-attr]
    await wait_until(lambda: streams._of_tenants.total() == 2)
    refused = await failure(stack.jobs.CreateJob(whole()))
    assert refused[:2] == ("RESOURCE_EXHAUSTED", "OVERLOADED")
    watch = stack.jobs.WatchJob(pb.WatchJobRequest(id=job.id), metadata=OTHER)
    await anext(aiter(watch))
    refused = await failure(stack.jobs.CreateJob(whole(), metadata=OTHER))
    assert refused[:2] == ("RESOURCE_EXHAUSTED", "OVERLOADED")
    await stack.jobs.GetJob(pb.GetJobRequest(id=job.id), metadata=OTHER)
    for call in (*calls, watch):
        call.cancel()
    await wait_until(lambda: not streams._of_tenants)
    await stack.jobs.CreateJob(whole())


async def test_a_bomb_leaves_its_thread_to_others(
    make: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An upload that takes long to read has others read theirs in between."""
    monkeypatch.setattr("services.gateway.api.jobs.creation._THREADS", 1)
    stack = await make()
    ended = []

    async def one(name: str, data: bytes) -> None:
        with contextlib.suppress(grpc.aio.AioRpcError):
            await stack.jobs.CreateJob(whole(data))
        ended.append(name)

    large = asyncio.create_task(one("large", LINE * 100_000))
    await wait_until(lambda: stack.gateway._jobs._creation._fibers._running)  # type: ignore[union-attr]
    await one("small", LINE)
    assert ended == ["small"]
    large.cancel()


@pytest.mark.parametrize(
    "method", ["TranslationService/Translate", "TranslationService/StreamTranslate"]
)
async def test_a_request_that_never_comes_is_ended(make: Callable[..., Any], method: str) -> None:
    """Of methods that take one message, too, for which gRPC itself would wait for ever."""
    stack = await make(request_timeout=0.3)

    async def nothing() -> AsyncIterator[bytes]:
        await asyncio.sleep(600)
        yield b""

    call = stack.channel.stream_stream(f"/seqway.v1.{method}")(nothing())
    code, reason, _ = await failure(_drained(call))
    assert (code, reason) == ("DEADLINE_EXCEEDED", "DEADLINE_PASSED")


async def test_a_call_without_a_request_is_malformed(make: Callable[..., Any]) -> None:
    stack = await make()

    async def none() -> AsyncIterator[bytes]:
        return
        yield b""

    call = stack.channel.stream_stream("/seqway.v1.TranslationService/Translate")(none())
    assert (await failure(_drained(call)))[:2] == ("INVALID_ARGUMENT", "MALFORMED_MESSAGE")
