"""Starts a peer's server in a process of its own."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from deploy.local.ports import HOST, free_ports
from tests.benchmarks.open_loop.wire import CHANNEL_OPTIONS
from tests.benchmarks.speed.workload import ROOT

_READY_SECONDS, _STOP_SECONDS, _POLL_SECONDS = 60.0, 10.0, 0.2


@dataclass(frozen=True, slots=True)
class PeerSetting:
    """What a peer's server runs; see its options."""

    model: Path
    tokenizer: Path
    inter: int
    intra: int
    max_new_tokens: int
    batching: bool

    @property
    def name(self) -> str:
        """How tables call it."""
        return "CTranslate2, dynamic batching" if self.batching else "CTranslate2, plain server"

    def command(self, address: str) -> list[str]:
        """What starts it."""
        return [
            *(sys.executable, "-m", "tests.benchmarks.open_loop.peer_server"),
            *("--model", str(self.model), "--tokenizer", str(self.tokenizer)),
            *("--inter", str(self.inter), "--intra", str(self.intra)),
            *("--max-new-tokens", str(self.max_new_tokens), "--address", address),
            *(["--batching"] if self.batching else []),
        ]


@dataclass(frozen=True, slots=True)
class RunningPeer:
    """Where a peer listens, and its process."""

    address: str
    pid: int


def _wait_for(ready: Any, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while True:
        try:
            ready.result(_POLL_SECONDS)
            return
        except grpc.FutureTimeoutError:
            if process.poll() is not None:
                raise RuntimeError(f"the peer's server ended with {process.returncode}") from None
            if time.monotonic() > deadline:
                raise RuntimeError("the peer's server did not start in time") from None


@contextmanager
def running_peer(setting: PeerSetting) -> Iterator[RunningPeer]:
    """Yields it when it is ready; ends it."""
    address = f"{HOST}:{free_ports(1)[0]}"
    process = subprocess.Popen(setting.command(address), cwd=ROOT)
    try:
        with grpc.insecure_channel(address, CHANNEL_OPTIONS) as channel:
            _wait_for(grpc.channel_ready_future(channel), process)
        yield RunningPeer(address, process.pid)
    finally:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
