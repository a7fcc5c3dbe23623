"""A drain ends at once what only waits, and lets finish what works."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import h2.config
import h2.connection
import pytest
from gateway_stack import MakeStack, Stack, failure, wait_until
from grpc_health.v1 import health_pb2
from jobs_bench import Bench
from redis_server import RedisServer, binaries
from seqway import AsyncClient
from seqway.v1 import job_pb2 as pb
from seqway.v1.translation_pb2 import StreamTranslateRequest, TranslateRequest

from services.foundation.environment import read_settings
from services.gateway.calls.drain import Draining, DrainingError
from services.gateway.server import Gateway
from services.gateway.settings import GatewaySettings

_GRACE = 60.0
_AT_ONCE = 8.0
"""Seconds, well below the grace; a drain that waits for something takes all of that."""
LEAVES = ("UNAVAILABLE", "DRAINING", "")


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One kind is enough here."""
    server = RedisServer(next(iter(binaries().values())), tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def store_url(tmp_path: Path) -> str:
    return f"file://{tmp_path}/store"


@pytest.fixture
async def stack(make_stack: MakeStack, redis_server: RedisServer, store_url: str) -> Stack:
    return await make_stack(
        job_store=store_url,
        redis_url=redis_server.url,
        drain_grace=_GRACE,
        reuse_port=True,
        chunk_lease=0.1,
    )


def spec() -> pb.JobSpec:
    return pb.JobSpec(
        translate=TranslateRequest(source_language_code="en", target_language_code="fr")
    )


async def job(stack: Stack) -> str:
    async def requests() -> AsyncIterator[pb.CreateJobRequest]:
        yield pb.CreateJobRequest(spec=spec())
        yield pb.CreateJobRequest(data=b'{"text": "one"}\n')

    return str((await stack.jobs.CreateJob(requests())).job.id)


async def idle_upload(stack: Stack) -> Any:
    async def requests() -> AsyncIterator[pb.CreateJobRequest]:
        yield pb.CreateJobRequest(spec=spec())
        yield pb.CreateJobRequest(data=b'{"text": "one"}\n')
        await asyncio.Event().wait()

    return stack.jobs.CreateJob(requests())


async def watched_job(stack: Stack) -> Any:
    call = stack.jobs.WatchJob(pb.WatchJobRequest(id=await job(stack)))
    await call.read()
    return call


async def awaited_results(stack: Stack) -> Any:
    return stack.jobs.ReadResults(pb.ReadResultsRequest(id=await job(stack)))


async def ended(call: Any) -> None:
    while await call.read() is not grpc.aio.EOF:
        pass
    await call


@pytest.mark.parametrize("begin", [idle_upload, watched_job, awaited_results])
async def test_a_call_that_waits_is_sent_elsewhere(
    begin: Callable[[Stack], Any], stack: Stack
) -> None:
    call = await begin(stack)
    await asyncio.sleep(0.3)  # it waits
    assert not call.done()
    drain = asyncio.create_task(stack.gateway.drain())
    assert await failure(call if begin is idle_upload else ended(call)) == LEAVES
    await asyncio.wait_for(drain, _AT_ONCE)


async def test_who_watches_health_is_told_and_sent_away(stack: Stack) -> None:
    states = health_pb2.HealthCheckResponse
    call = stack.health.Watch(health_pb2.HealthCheckRequest())
    assert (await call.read()).status == states.SERVING
    drain = asyncio.create_task(stack.gateway.drain())
    assert (await call.read()).status == states.NOT_SERVING
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await ended(call)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    await asyncio.wait_for(drain, _AT_ONCE)


async def test_an_upload_that_goes_on_is_finished(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The machine may pause for longer than the gateway waits for the next piece.
    monkeypatch.setattr("services.gateway.calls.drain._UPLOAD_SECONDS", 20.0)
    more = asyncio.Event()

    async def requests() -> AsyncIterator[pb.CreateJobRequest]:
        yield pb.CreateJobRequest(spec=spec())
        for number in range(8):
            yield pb.CreateJobRequest(data=b'{"text": "line %d"}\n' % number)
            if number > 2:
                more.set()
                await asyncio.sleep(0.3)

    call = stack.jobs.CreateJob(requests())
    await more.wait()
    drain = asyncio.create_task(stack.gateway.drain())
    assert (await call).job.counts.total == 8
    await asyncio.wait_for(drain, _AT_ONCE)


def silent(_port: int) -> bytes:
    return b""


def half_a_preface(_port: int) -> bytes:
    return b"PRI * HTTP/2.0\r\n"


def preface_alone(_port: int) -> bytes:
    made = h2.connection.H2Connection(h2.config.H2Configuration())
    made.initiate_connection()
    return made.data_to_send()


def headers_alone(_port: int) -> bytes:
    made = h2.connection.H2Connection(h2.config.H2Configuration())
    made.initiate_connection()
    path = "/seqway.v1.TranslationService/Translate"
    names = {":method": "POST", ":scheme": "http", ":path": path, ":authority": "x"}
    content = {"te": "trailers", "content-type": "application/grpc"}
    made.send_headers(1, [*names.items(), *content.items()])
    return made.data_to_send()


def half_a_message(port: int) -> bytes:
    frame = struct.pack(">?I", False, 1000) + b"x" * 10
    header = struct.pack(">I", len(frame))[1:] + b"\0\0" + struct.pack(">I", 1)
    return headers_alone(port) + header + frame


@pytest.mark.parametrize(
    "sent", [silent, half_a_preface, preface_alone, headers_alone, half_a_message]
)
async def test_connections_on_which_nothing_runs_do_not_hold_a_drain(
    sent: Callable[[int], bytes], stack: Stack
) -> None:
    port = stack.gateway.port
    connections = [socket.create_connection(("127.0.0.1", port)) for _ in range(20)]
    for connection in connections:
        connection.sendall(sent(port))
    await asyncio.sleep(0.3)
    await asyncio.wait_for(stack.gateway.drain(), _AT_ONCE)
    for connection in connections:
        connection.close()


async def test_work_is_finished_beside_what_waits(stack: Stack) -> None:
    stack.twin.gate.clear()
    call = stack.translation.StreamTranslate(
        StreamTranslateRequest(
            contents=["one two"], source_language_code="en", target_language_code="fr"
        )
    )
    await call.read()
    watching = await watched_job(stack)
    drain = asyncio.create_task(stack.gateway.drain())
    assert await failure(ended(watching)) == LEAVES
    await asyncio.sleep(1.5)
    assert not drain.done()
    stack.twin.gate.set()
    message = await call.read()
    while not message.HasField("summary"):
        message = await call.read()
    await asyncio.wait_for(drain, _AT_ONCE)


async def test_a_client_goes_on_at_the_next_gateway(
    stack: Stack, store_url: str, redis_server: RedisServer, bench: Bench
) -> None:
    """Watching, reading and waiting for health: nobody notices that the gateway is another."""
    async with AsyncClient(f"127.0.0.1:{stack.gateway.port}") as client:
        made = await client.jobs.translate(["one", "two"], source="en", target="fr")

        async def watched() -> int:
            return len([one async for one in client.jobs.watch(made.id)])

        async def read() -> list[str]:
            return [one.text async for one in client.jobs.results(made.id)]

        watching, reading = asyncio.create_task(watched()), asyncio.create_task(read())
        await asyncio.sleep(0.3)
        settings = read_settings(
            GatewaySettings,
            gateway_port=stack.gateway.port,
            reuse_port=True,
            triton_url=stack.twin.url,
            job_store=store_url,
            redis_url=redis_server.url,
            chunk_lease=0.1,
            drain_wait=0.0,
        )
        following = Gateway(settings)
        await following.start()
        try:
            await asyncio.wait_for(stack.gateway.drain(), _AT_ONCE)
            assert not watching.done() and not reading.done()
            await asyncio.to_thread(bench.settle, made.id)
            assert await asyncio.wait_for(watching, 20) >= 2
            assert len(await asyncio.wait_for(reading, 20)) == 2
        finally:
            watching.cancel()
            reading.cancel()
            await following.drain()


async def test_waits_end_when_the_drain_begins_and_none_begins_after() -> None:
    draining = Draining()
    async with draining.ends():
        pass
    wait = asyncio.create_task(draining.pause(60))
    await asyncio.sleep(0)
    draining.begin()
    draining.begin()
    for late in (wait, draining.pause(60)):
        with pytest.raises(DrainingError):
            await asyncio.wait_for(late, 5)
    with pytest.raises(TimeoutError) as caught:
        async with draining.ends(60):
            raise TimeoutError("of the block itself")
    assert "block" in str(caught.value)
    cancelled = asyncio.create_task(Draining().pause(60))
    await asyncio.sleep(0)
    cancelled.cancel()
    await wait_until(cancelled.done)
    assert cancelled.cancelled()
