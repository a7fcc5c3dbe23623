"""Redis starts with the configuration of the manifests, and its probes tell the truth."""

import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis
import trustme
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.deploy.bundle import Bundle
from tests.deploy.redis_pod import PASSWORD, RedisPod, running_redis
from tests.deploy.rendering import ROOT, overlay_objects

_PROBES = ("startupProbe", "readinessProbe", "livenessProbe")
_PATIENCE = 15.0
_ONCE = Retry(NoBackoff(), 0)


@dataclass(frozen=True)
class Programs:
    """Debian's Redis: the wheel's server has neither TLS nor a command line."""

    server: str
    cli: str


@pytest.fixture(scope="module")
def programs() -> Programs:
    """Skips where there is no Redis, which is a failure under CI=true."""
    unpacked = ROOT / ".debian-redis"
    if (unpacked / "redis-server").exists():
        libraries = next((unpacked / "root" / "usr" / "lib").glob("*-linux-gnu"))
        cli = f"LD_LIBRARY_PATH={libraries} {unpacked}/root/usr/bin/redis-cli"
        return Programs(str(unpacked / "redis-server"), cli)
    server, found = shutil.which("redis-server"), shutil.which("redis-cli")
    if server is None or found is None:
        if os.environ.get("CI") == "true":
            pytest.fail("Debian's Redis is missing: run `make debian-redis`")
        pytest.skip("Debian's Redis is missing: run `make debian-redis`")
    return Programs(server, found)


def _wait_ready(pod: RedisPod) -> None:
    deadline = time.monotonic() + _PATIENCE
    while (done := pod.probe("readinessProbe")).returncode:
        assert time.monotonic() < deadline, done.stderr + (pod.folder / "log").read_text()
        time.sleep(0.05)


def test_redis_asks_for_its_password_evicts_nothing_and_writes_a_log(
    tmp_path: Path, programs: Programs
) -> None:
    with running_redis(
        Bundle(overlay_objects("dev")), tmp_path, programs.server, programs.cli
    ) as pod:
        _wait_ready(pod)
        assert [pod.probe(one).returncode for one in _PROBES] == [0, 0, 0]
        with pytest.raises(redis.AuthenticationError):
            redis.Redis(port=pod.port).ping()
        client = redis.Redis.from_url(pod.url, decode_responses=True)
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert client.config_get("appendonly") == {"appendonly": "yes"}
        assert client.config_get("maxmemory") == {"maxmemory": str(640 * 2**20)}
        client.close()
        assert any((tmp_path / "data").rglob("*.aof"))


def test_a_redis_that_is_gone_is_not_alive(tmp_path: Path, programs: Programs) -> None:
    with running_redis(
        Bundle(overlay_objects("dev")), tmp_path, programs.server, programs.cli
    ) as pod:
        _wait_ready(pod)
    assert [pod.probe(one).returncode for one in _PROBES] == [1, 1, 1]
    assert "refused" in pod.probe("livenessProbe").stderr


def test_redis_with_mtls_takes_no_plain_text_and_no_stranger(
    tmp_path: Path, programs: Programs
) -> None:
    authority = trustme.CA()
    folder = tmp_path / "run" / "tls"
    folder.mkdir(parents=True)
    issued = authority.issue_cert("seqway-redis", "127.0.0.1")
    authority.cert_pem.write_to_path(folder / "ca.crt")
    issued.private_key_pem.write_to_path(folder / "tls.key")
    issued.cert_chain_pems[0].write_to_path(folder / "tls.crt")
    bundle = Bundle(overlay_objects("dev", ["mtls"]))
    with running_redis(bundle, tmp_path, programs.server, programs.cli) as pod:
        _wait_ready(pod)
        assert [pod.probe(one).returncode for one in _PROBES] == [0, 0, 0]
        with pytest.raises(redis.ConnectionError):
            redis.Redis(port=pod.port, password=PASSWORD, retry=_ONCE).ping()
        url = f"rediss://:{PASSWORD}@127.0.0.1:{pod.port}/0"
        known: dict[str, Any] = {"ssl_ca_certs": str(folder / "ca.crt"), "retry": _ONCE}
        with pytest.raises(redis.ConnectionError):
            redis.Redis.from_url(url, **known).ping()
        known |= {"ssl_certfile": str(folder / "tls.crt"), "ssl_keyfile": str(folder / "tls.key")}
        assert redis.Redis.from_url(url, **known).ping()
