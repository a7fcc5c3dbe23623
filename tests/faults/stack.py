"""A stack to break, and what must hold of its jobs whatever broke."""

import json
import os
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import redis
from seqway import Client, Job, JobState, SeqwayError

from deploy.local.ports import HOST
from deploy.local.processes import ProcessRecord
from deploy.local.records import StackRecord
from deploy.local.services.redis import redis_url
from deploy.local.settings import StackSettings
from deploy.local.stack import Stack

PATIENCE = 150.0
_MORE_DESCRIPTORS = 25
_MORE_MEMORY = 120 * 2**20

WORDS = "a small fast text editor for the console with files and many fonts in it".split()  # noqa: SIM905


def texts(count: int, seed: int = 0) -> list[str]:
    """Different short sentences."""
    size = len(WORDS)
    return [
        " ".join(WORDS[(seed + n // size**k + k) % size] for k in range(6)) + f" {seed}-{n}"
        for n in range(count)
    ]


def lines(count: int, seed: int = 0) -> list[dict[str, str]]:
    """The same, with ids."""
    return [{"text": text, "custom_id": f"id-{n}"} for n, text in enumerate(texts(count, seed))]


def wait_until(probe: Callable[[], bool], what: str, patience: float = PATIENCE) -> None:
    deadline = time.monotonic() + patience
    while not probe():
        assert time.monotonic() < deadline, f"still not: {what}"
        time.sleep(0.05)


@dataclass
class BrokenStack:
    """The whole stack, its client, and ways to hurt it."""

    stack: Stack
    settings: StackSettings
    client: Client

    @property
    def store(self) -> Path:
        return self.settings.run_directory / "jobs"

    def submit(self, count: int, seed: int = 0) -> Job:
        lines = [
            {"text": text, "custom_id": f"id-{n}"} for n, text in enumerate(texts(count, seed))
        ]
        return self.client.jobs.translate(lines, source="en", target="fr")

    def submit_and_start(self, count: int = 1500, seed: int = 0) -> Job:
        """A job of which some chunks are done and others are not."""
        job = self.submit(count, seed)
        wait_until(lambda: self.client.jobs.get(job.id).counts.done > 0, "a chunk is done")
        assert not self.client.jobs.get(job.id).state.ended, "it ended before the fault"
        return job

    def check(self, job: Job, state: JobState | None = JobState.SUCCEEDED) -> Job:
        """I1 to I4: it ends, with one record a line, in order, and with true counts and files."""
        ended = self.wait(job.id)
        if state is not None:
            assert ended.state is state, ended
        total = job.counts.total
        results = list(self.client.jobs.results(job.id, timeout=PATIENCE))
        assert [one.index for one in results] == list(range(total))
        assert [one.custom_id for one in results] == [f"id-{n}" for n in range(total)]
        assert all(one.text for one in results if one.succeeded)
        found = Counter(one.status.lower() for one in results)
        counts = ended.counts
        assert counts.pending == 0
        assert (counts.succeeded, counts.failed, counts.cancelled, counts.expired) == tuple(
            found[name] for name in ("succeeded", "failed", "cancelled", "expired")
        )
        for name, succeeded in ((ended.output_object, True), (ended.error_object, False)):
            written = (self.store / name).read_text().splitlines()
            expected = [one.index for one in results if one.succeeded is succeeded]
            assert [json.loads(line)["index"] for line in written] == expected
        return ended

    def wait(self, job: str) -> Job:
        """The job when it has ended; asks again while the gateway is away."""
        deadline = time.monotonic() + PATIENCE
        while True:
            with suppress(SeqwayError):
                found = self.client.jobs.get(job)
                if found.state.ended:
                    return found
            assert time.monotonic() < deadline, self.client.jobs.get(job)
            time.sleep(0.1)

    def record(self, service: str) -> ProcessRecord:
        return StackRecord.load(self.settings.run_directory).processes[service]

    def pid(self, service: str) -> int:
        return self.record(service).pid

    def children(self, service: str) -> list[int]:
        """The processes that run the chunks."""
        return _children(self.pid(service))

    def kill(self, *pids: int, with_signal: signal.Signals = signal.SIGKILL) -> None:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, with_signal)

    def kill_service(self, name: str) -> None:
        """With all that belongs to it."""
        pid = self.pid(name)
        os.killpg(pid, signal.SIGKILL)
        wait_until(lambda: not _lives(pid), f"{name} is gone")

    def freeze(self, name: str) -> None:
        os.killpg(self.pid(name), signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        os.killpg(self.pid(name), signal.SIGCONT)

    def restore(self) -> None:
        """Starts what has ended; returns when everything is ready."""
        self.stack.up()

    def redis(self) -> "redis.Redis":
        return redis.Redis.from_url(redis_url(self.settings), socket_timeout=5)

    def forget_redis(self) -> None:
        """Kills Redis and all that it knew."""
        self.kill_service("redis")
        shutil.rmtree(self.settings.run_directory / "redis")

    def open_files(self, pid: int) -> int:
        return len(list(Path(f"/proc/{pid}/fd").iterdir()))

    def weights(self) -> dict[str, tuple[int, int]]:
        """Descriptors and resident bytes of the processes that stay."""
        weights = {}
        for name in ("gateway", "controller"):
            pid = self.pid(name)
            pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
            weights[name] = self.open_files(pid), pages * os.sysconf("SC_PAGE_SIZE")
        return weights

    def check_weights(self, before: dict[str, tuple[int, int]]) -> None:
        """I5: a fault leaves no descriptors and no memory behind."""
        for name, (descriptors, resident) in self.weights().items():
            assert descriptors <= before[name][0] + _MORE_DESCRIPTORS, name
            assert resident <= before[name][1] + _MORE_MEMORY, name


def address(settings: StackSettings) -> str:
    return f"{HOST}:{settings.ports.gateway.number}"


def _children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _lives(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
