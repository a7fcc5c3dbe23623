"""Redis and the workers as services: the real ones, without Triton."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from deploy.local.errors import StackError
from deploy.local.services.redis import redis_service, redis_url
from deploy.local.services.workers import controller_service, worker_service
from deploy.local.settings import StackSettings, on_free_ports, settings_from_environment
from deploy.local.stack import Stack
from tests.stack.test_stack import wait_until_gone


@pytest.fixture
def settings(tmp_path: Path) -> StackSettings:
    return on_free_ports(StackSettings(), tmp_path / "run")


@pytest.fixture
def stack(settings: StackSettings) -> Iterator[Stack]:
    services = [redis_service(settings), worker_service(settings), controller_service(settings)]
    made = Stack(settings.run_directory, services)
    yield made
    made.down()


def test_workers_are_ready_when_they_consume_and_not_when_redis_is_away(stack: Stack) -> None:
    stack.up()
    assert [status.service.name for status in stack.status()] == ["redis", "worker", "controller"]
    assert all(status.ready for status in stack.status())
    server = stack.status()[0].pid
    assert server
    os.kill(server, signal.SIGKILL)
    wait_until_gone(server)
    dead, worker, controller = stack.status()
    assert dead.died
    assert worker.pid and not worker.ready
    assert controller.pid and not controller.ready
    stack.up()
    assert all(status.ready for status in stack.status())
    assert (stack.status()[1].pid, stack.status()[2].pid) == (worker.pid, controller.pid)
    assert stack.down() == ["controller", "worker", "redis"]


def test_redis_keeps_what_it_knows_over_a_restart(settings: StackSettings) -> None:
    stack = Stack(settings.run_directory, [redis_service(settings)])
    try:
        stack.up()
        with redis.Redis.from_url(redis_url(settings)) as client:
            client.set("kept", "yes")
        stack.down()
        stack.up()
        with redis.Redis.from_url(redis_url(settings)) as client:
            assert client.get("kept") == b"yes"
            assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
    finally:
        stack.down()


def test_a_redis_server_that_is_no_file_is_named(tmp_path: Path) -> None:
    missing = settings_from_environment({"SEQWAY_REDIS_SERVER": str(tmp_path / "nothing")})
    stack = Stack(tmp_path / "run", [redis_service(on_free_ports(missing, tmp_path / "run"))])
    with pytest.raises(StackError, match=r"SEQWAY_REDIS_SERVER is .*nothing, which is no file"):
        stack.up()


def test_a_wrong_setting_of_the_workers_is_named(
    settings: StackSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEQWAY_CHUNK_ITEMS", "none")
    stack = Stack(settings.run_directory, [redis_service(settings), worker_service(settings)])
    with pytest.raises(StackError, match="SEQWAY_CHUNK_ITEMS"):
        stack.up()
    assert [status.pid for status in stack.status()] == [None, None]
