"""A real worker and a real controller whose Redis, descriptors or clocks go wrong."""

import re
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deploy.local.services.redis import redis_service, redis_url
from deploy.local.services.service import Launch, Service
from deploy.local.services.workers import controller_service, worker_service
from deploy.local.settings import ROOT, StackSettings, on_free_ports
from deploy.local.stack import Stack
from services.inference.tasks.translation.translator import TranslationRequest
from services.jobs.lifecycle.creation import Creator, NewJob
from services.jobs.lifecycle.progress import Counter
from services.jobs.queue.board import Board, Ticket
from services.jobs.queue.feeder import Feeder
from services.jobs.queue.messages import Queue, celery_app
from services.jobs.settings import JobSettings
from services.jobs.store.archive import Archive
from services.jobs.store.clock import Clock
from services.jobs.store.items import Item
from services.jobs.store.objects import open_store
from services.jobs.store.records import State
from tests.faults.stack import BrokenStack, wait_until
from tests.monitoring.test_workers import read

_RECONNECTS = 500
_DROPS = 100
_FEW = 8
_HOUR = 3600.0

MakeService = Callable[[StackSettings], Service]


@contextmanager
def running(folder: Path, service: MakeService, **variables: str) -> Iterator[BrokenStack]:
    """Redis and one of our processes, as `odd_worker` starts it."""
    settings = on_free_ports(StackSettings(), folder / "run")
    made = service(settings)
    odd = replace(made, launch=lambda: _odd(made.launch()))
    stack = Stack(settings.run_directory, [redis_service(settings), odd])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEQWAY_HEARTBEAT_FILE", str(folder / "heartbeat"))
        patch.setenv("SEQWAY_REDIS_TIMEOUT", "1")
        patch.setenv("SEQWAY_RECONCILE_INTERVAL", "0.5")
        patch.setenv("SEQWAY_LOG_FORMAT", "console")
        for name, value in variables.items():
            patch.setenv(name, value)
        try:
            stack.up()
            yield BrokenStack(stack, settings, None)  # type: ignore[arg-type]
        finally:
            stack.down()


def _odd(launch: Launch) -> Launch:
    command = (sys.executable, "-m", "tests.monitoring.odd_worker", *launch.command[1:])
    return replace(launch, command=command)


ROLES = pytest.mark.parametrize(
    ("role", "service"), [("worker", worker_service), ("controller", controller_service)]
)


def open_files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def log(stack: BrokenStack, role: str) -> str:
    return next(stack.settings.run_directory.rglob(f"{role}.log")).read_text(errors="replace")


def refusals(stack: BrokenStack, role: str) -> int:
    return len(re.findall("Redis rejects the consumer", log(stack, role)))


def send(stack: BrokenStack, role: str, count: int) -> None:
    queue = Queue(celery_app(JobSettings(redis_url=redis_url(stack.settings))))
    for number in range(count):
        if role == "worker":
            queue.run_chunk(Ticket("nothing", 1, number))
        else:
            queue.finish_job("nothing")


@contextmanager
def batch(stack: BrokenStack, **values: Any) -> Iterator[tuple[JobSettings, Board, Archive]]:
    """The jobs of a stack, as a gateway has them."""
    settings = JobSettings(redis_url=redis_url(stack.settings), **values)
    store = open_store(f"file://{stack.store}")
    board = Board(settings.redis_url, 1.0, {})
    yield settings, board, Archive(store, Clock(board, store))
    board.close()


def create(archive: Archive, settings: JobSettings, count: int = 1, **order: Any) -> str:
    task = TranslationRequest(source="en", target="fr", model="tiny")
    items = (Item(number, f"text {number}", f"id-{number}") for number in range(count))
    return Creator(archive, settings).create(NewJob("default", task, _HOUR, **order), items).id


def lives(stack: BrokenStack, role: str) -> bool:
    pid = stack.pid(role)
    with stack.redis() as client:
        return any(key.decode().endswith(f":{pid}") for key in client.keys("seqway:alive:*"))


@ROLES
def test_reconnects_leave_nothing_open(tmp_path: Path, role: str, service: MakeService) -> None:
    """A Redis that takes connections and refuses what comes next, and one that drops them."""
    with running(tmp_path, service, ODD_HASTE="1") as stack, stack.redis() as client:
        before = open_files(stack.pid(role))
        send(stack, role, 200)
        client.config_set("maxmemory", 1)
        wait_until(lambda: refusals(stack, role) >= _RECONNECTS, "it has tried so often", 60)
        during = open_files(stack.pid(role))
        client.config_set("maxmemory", 0)
        wait_until(lambda: lives(stack, role), "it consumes again", 30)
        seen = refusals(stack, role)

        def is_dropped_often() -> bool:
            client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            return refusals(stack, role) - seen >= _DROPS

        wait_until(is_dropped_often, "it was dropped so often", 120)
        client.delete(*client.keys("seqway:alive:*") or ["none"])
        wait_until(lambda: lives(stack, role), "it consumes again", 30)
        assert open_files(stack.pid(role)) <= before + _FEW
        assert during <= before + _FEW


def test_who_could_not_acknowledge_consumes_again(tmp_path: Path) -> None:
    """All processes were busy, so nobody was waiting at the connection that was lost."""
    with (
        running(tmp_path, worker_service, SEQWAY_MODEL_PATIENCE="2") as stack,
        stack.redis() as client,
        batch(stack, chunk_items=1) as (settings, board, archive),
    ):
        job = create(archive, settings, count=2)
        run = archive.current(job)
        assert run is not None
        feeder = Feeder(board, Queue(celery_app(settings)), settings)
        feeder.announce(run, [0, 1])
        feeder.feed()
        wait_until(lambda: client.hlen("unacked") == 2, "both processes have a chunk", 30)
        client.config_set("requirepass", "other")
        client.execute_command("AUTH", "other")
        client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        try:
            wait_until(lambda: refusals(stack, "worker") > 0, "both could not tell the end", 30)
        finally:
            client.config_set("requirepass", "")
        send(stack, "worker", 5)
        wait_until(lambda: client.llen("seqway.chunks") == 0, "it takes messages", 30)


@ROLES
def test_who_is_out_of_descriptors_ends(tmp_path: Path, role: str, service: MakeService) -> None:
    """Rather than to wait for a Redis that is there."""
    with running(tmp_path, service) as stack, stack.redis() as client:
        pid = stack.pid(role)
        _, most = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        # As few as there are once the connections are gone.
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, most))
        client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        wait_until(lambda: not _runs(pid), "it has ended", 60)
        assert "out of file descriptors" in log(stack, role) or "Too many open" in log(stack, role)


def _runs(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


def test_a_controller_whose_clock_was_ahead_looks_on(tmp_path: Path) -> None:
    """And while it is ahead it expires nothing early."""
    clock = tmp_path / "clock"
    clock.write_text(str(_HOUR))
    with running(tmp_path, controller_service, ODD_CLOCK=str(clock)) as stack:
        port = stack.settings.ports.controller_metrics

        def looks() -> float:
            return read(port).get(("seqway_reconcile_seconds_count", ""), 0.0)

        wait_until(lambda: looks() > 1, "it looks", 30)
        with batch(stack) as (settings, _, archive):
            job = create(archive, settings, deadline=archive.clock.now() + 900)
            for ahead in (_HOUR, 0.0, -_HOUR):
                clock.write_text(str(ahead))
                seen = looks()
                wait_until(lambda seen=seen: looks() > seen + 2, "it looks on", 30)  # type: ignore[misc]
            run = archive.current(job)
            assert run is not None
            assert Counter(archive).progress(run).state is State.QUEUED


def test_a_controller_restarts_with_what_its_clock_left(tmp_path: Path) -> None:
    """Celery's beat kept on disk when it was due; nothing is kept now."""
    clock = tmp_path / "clock"
    clock.write_text(str(_HOUR))
    with running(tmp_path, controller_service, ODD_CLOCK=str(clock)) as stack:
        port = stack.settings.ports.controller_metrics
        stack.kill_service("controller")
        clock.write_text("0")
        stack.restore()
        wait_until(
            lambda: read(port).get(("seqway_reconcile_seconds_count", ""), 0.0) > 1, "it looks", 30
        )


def test_a_controller_that_would_fork_is_refused(tmp_path: Path) -> None:
    def forking(settings: StackSettings) -> Service:
        made = controller_service(settings)

        def launch() -> Launch:
            found = made.launch()
            return replace(
                found, command=tuple("prefork" if x == "threads" else x for x in found.command)
            )

        return replace(made, launch=launch)

    settings = on_free_ports(StackSettings(), tmp_path / "run")
    launch = _odd(forking(settings).launch())
    ended = subprocess.run(
        launch.command,
        env={**launch.environment, "SEQWAY_METRICS_PORT": "0"},
        cwd=launch.directory,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 1
    assert "needs --pool threads" in ended.stderr


@pytest.mark.parametrize(
    "what",
    [
        # The event loop of inference ends.
        "from workers.inference import TritonInference\n"
        "from workers.settings import WorkerSettings\n"
        "from services.foundation.environment import read_settings\n"
        "made = TritonInference(read_settings(WorkerSettings, triton_url='127.0.0.1:1'))\n"
        "made._loop.call_soon_threadsafe(made._loop.stop)\n",
        # A process of a pool can open nothing more.
        "import resource\n"
        "from billiard.process import current_process\n"
        "from workers import descriptors\n"
        "descriptors.end_child_without()\n"
        "current_process().index = 0\n"
        "descriptors.end_child_without()\n"
        "most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (3, most))\n"
        "descriptors.end_child_without()\n",
    ],
    ids=["loop", "descriptors"],
)
def test_a_child_that_cannot_work_ends(what: str) -> None:
    """Celery starts another one in its place."""
    script = f"{what}import time\ntime.sleep(30)\nraise SystemExit(3)\n"
    ended = subprocess.run([sys.executable, "-c", script], cwd=ROOT, timeout=60, check=False)
    assert ended.returncode == 1
