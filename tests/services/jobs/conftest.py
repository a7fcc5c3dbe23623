"""Real Redis, a real store, and a model that is pretended."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from bench import Bench, make_bench
from redis_server import RedisServer, binaries


@pytest.fixture(scope="session", params=list(binaries()))
def redis_server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RedisServer]:
    server = RedisServer(binaries()[request.param], tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def bench(redis_server: RedisServer, tmp_path: Path) -> Iterator[Bench]:
    with redis_server.client() as client:
        client.flushall()
    bench = make_bench(redis_server.url, f"file://{tmp_path}/store")
    yield bench
    bench.close()
