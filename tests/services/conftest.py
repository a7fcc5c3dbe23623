"""Stacks of a twin, a gateway and a channel; real servers that batch jobs stand on."""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import grpc
import pytest
from gateway_stack import MakeStack, Stack, open_channel, wait_until
from jobs_bench import Bench, make_bench
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from redis_server import RedisServer, binaries
from s3_server import S3Server

from engine.contract.manifest import Manifest
from services.foundation.endpoints import host_and_port
from services.foundation.environment import read_settings
from services.gateway.server import Gateway
from services.gateway.settings import GatewaySettings
from services.inference import tracing
from tests.services.twin import Twin, manifest_of


@pytest.fixture
async def make_stack() -> AsyncIterator[MakeStack]:
    stacks: list[Stack] = []
    twins: list[Twin] = []

    async def make(
        *,
        triton: bool = True,
        manifests: Sequence[Manifest] = (),
        credentials: grpc.ChannelCredentials | None = None,
        **settings: object,
    ) -> Stack:
        twin = Twin(list(manifests) or [manifest_of("int8"), manifest_of("fp32")])
        await twin.start()
        twins.append(twin)
        if not triton:
            await twin.stop()
        defaults = {
            "triton_url": twin.url,
            "triton_streams": 2,
            "triton_patience": 0.0,
            "gateway_port": 0,
            "health_interval": 0.05,
            "probe_timeout": 10.0,
            "drain_wait": 0.0,
            "drain_grace": 1.0,
        }
        gateway = Gateway(read_settings(GatewaySettings, **(defaults | settings)))
        await gateway.start()
        host = str(settings.get("gateway_host", "127.0.0.1"))
        host = {"::": "::1"}.get(host, host)
        channel = open_channel(host_and_port(host, gateway.port), credentials)
        stack = Stack(twin, gateway, channel)
        stacks.append(stack)
        if triton:
            await wait_until(stack.serves)
        return stack

    yield make
    for stack in stacks:
        await stack.channel.close()
        await stack.gateway.drain()
    for twin in twins:
        await twin.stop()


@pytest.fixture
async def stack(make_stack: MakeStack) -> Stack:
    return await make_stack()


@pytest.fixture(scope="session", params=list(binaries()))
def redis_server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RedisServer]:
    server = RedisServer(binaries()[request.param], tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    server = S3Server(tmp_path_factory.mktemp("s3"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(params=["folder", "s3"])
def store_url(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> str:
    if request.param == "folder":
        return f"file://{tmp_path}/store"
    server: S3Server = request.getfixturevalue("s3_server")
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    return f"{server.url}/{tmp_path.name}"


@pytest.fixture
def make(redis_server: RedisServer, store_url: str) -> Iterator[Callable[..., Bench]]:
    """Makes the bench of a test, with settings of its own; Redis is empty then."""
    with redis_server.client() as client, ExitStack() as benches:
        client.flushall()

        def make_one(**settings: object) -> Bench:
            bench = make_bench(redis_server.url, store_url, **settings)
            benches.callback(bench.close)
            return bench

        yield make_one


@pytest.fixture
def bench(make: Callable[..., Bench]) -> Bench:
    return make()


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """Keeps the spans of a test; a provider for the whole process could not be taken back."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing.tracer, "_real_tracer", provider.get_tracer("test"))
    return exporter
