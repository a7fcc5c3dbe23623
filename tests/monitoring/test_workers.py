"""What a real worker and a real controller tell of themselves, over a real Redis."""

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from deploy.local.ports import HOST, Port
from deploy.local.services.redis import redis_service, redis_url
from deploy.local.services.service import Service
from deploy.local.services.workers import controller_service, worker_service
from deploy.local.settings import ROOT, StackSettings, on_free_ports
from deploy.local.stack import Stack
from services.jobs.queue.board import Ticket
from services.jobs.queue.messages import Queue, celery_app
from services.jobs.settings import JobSettings
from tests.faults.stack import BrokenStack, wait_until
from workers.monitoring.liveness import Liveness
from workers.reconciler_thread import ReconcilerThread

_OLD = 6.0  # three times as long as between two touches
_LONG = 8.0


@contextmanager
def running(folder: Path, service: Callable[[StackSettings], Service]) -> Iterator[BrokenStack]:
    """Redis and one of our processes, without models."""
    settings = on_free_ports(StackSettings(), folder / "run")
    stack = Stack(settings.run_directory, [redis_service(settings), service(settings)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEQWAY_HEARTBEAT_FILE", str(settings.run_directory / "beat"))
        patch.setenv("SEQWAY_REDIS_TIMEOUT", "1")
        patch.setenv("SEQWAY_RECONCILE_INTERVAL", "0.5")
        try:
            stack.up()
            yield BrokenStack(stack, settings, None)  # type: ignore[arg-type]
        finally:
            stack.down()


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokenStack]:
    with running(tmp_path_factory.mktemp("worker"), worker_service) as stack:
        yield stack


@pytest.fixture(scope="module")
def beat(worker: BrokenStack) -> Path:
    return worker.settings.run_directory / "beat"


def read(port: Port) -> dict[tuple[str, str], float]:
    """Samples by name and by the value of their one label, if any."""
    with urlopen(f"http://{HOST}:{port.number}/metrics", timeout=10) as response:
        families = text_string_to_metric_families(response.read().decode())
        return {
            (sample.name, next(iter(sample.labels.values()), "")): sample.value
            for family in families
            for sample in family.samples
        }


def age(file: Path) -> float:
    return time.time() - file.stat().st_mtime


def lives_for(file: Path, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if age(file) > _OLD:
            return False
        time.sleep(0.1)
    return True


def send_chunks_of_no_job(settings: StackSettings, count: int) -> None:
    queue = Queue(celery_app(JobSettings(redis_url=redis_url(settings))))
    for chunk in range(count):
        queue.run_chunk(Ticket("nothing", 1, chunk))


def counting_files(settings: StackSettings) -> set[str]:
    return {path.name for path in settings.run_directory.glob("*/seqway-metrics-*/*")}


def test_a_process_that_takes_another_s_place_counts_on(worker: BrokenStack) -> None:
    port = worker.settings.ports.worker_metrics
    skipped = ("seqway_worker_chunks_total", "skipped")
    assert read(port)[skipped] == 0
    send_chunks_of_no_job(worker.settings, 10)
    wait_until(lambda: read(port)[skipped] == 10, "all are counted", 20)
    worker.kill(*worker.children("worker"))
    send_chunks_of_no_job(worker.settings, 10)
    wait_until(lambda: read(port)[skipped] == 20, "those of the new processes too", 30)
    places = {name.rpartition("_")[2] for name in counting_files(worker.settings)}
    assert places <= {"0.db", "1.db", "parent.db"}


def test_the_file_is_touched_while_redis_hangs(worker: BrokenStack, beat: Path) -> None:
    worker.freeze("redis")
    try:
        assert lives_for(beat, _LONG)
    finally:
        worker.thaw("redis")


def test_the_file_is_touched_while_redis_is_away(worker: BrokenStack, beat: Path) -> None:
    worker.kill_service("redis")
    assert lives_for(beat, _LONG)
    worker.restore()
    assert lives_for(beat, 1.0)


def test_the_file_grows_old_while_the_worker_hangs(worker: BrokenStack, beat: Path) -> None:
    os.kill(worker.pid("worker"), signal.SIGSTOP)
    try:
        wait_until(lambda: age(beat) > _OLD, "the file is old", 3 * _OLD)
    finally:
        os.kill(worker.pid("worker"), signal.SIGCONT)
    wait_until(lambda: age(beat) < _OLD, "the file is touched again")


def test_children_do_not_hold_the_port_of_a_killed_worker(worker: BrokenStack) -> None:
    children = worker.children("worker")
    for child in children:
        worker.kill(child, with_signal=signal.SIGSTOP)
    worker.kill(worker.pid("worker"))

    def is_free() -> bool:
        with suppress(OSError), socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((HOST, worker.settings.ports.worker_metrics.number))
            return True
        return False

    try:
        wait_until(is_free, "the port is free", 10)
    finally:
        worker.kill(*children)


def test_a_controller_tells_jobs_and_redis(tmp_path: Path) -> None:
    with running(tmp_path, controller_service) as controller:
        port = controller.settings.ports.controller_metrics
        wait_until(lambda: ("seqway_jobs", "queued") in read(port), "the jobs are told", 20)
        samples = read(port)
        assert samples["seqway_redis_up", ""] == 1
        assert samples["seqway_chunks", "pending"] == samples["seqway_chunks", "running"] == 0
        assert samples["seqway_redis_memory_bytes", ""] > 0
        assert samples["seqway_reconcile_seconds_count", ""] > 0
        controller.kill_service("redis")
        wait_until(lambda: read(port)["seqway_redis_up", ""] == 0, "Redis is told to be away", 20)
        assert ("seqway_chunks", "pending") not in read(port)
        wait_until(lambda: ("seqway_jobs", "queued") not in read(port), "nothing old is told", 20)
        files = counting_files(controller.settings)
        os.kill(controller.pid("controller"), signal.SIGTERM)
        wait_until(lambda: not counting_files(controller.settings), "the files are gone", 20)
        assert files


class Watched:
    """A liveness with short times; `refuses` is what Redis does."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "beat"
        self.refuses = False
        self.liveness = Liveness(self.file, lambda: self.refuses, interval=0.02, patience=0.4)
        self.liveness.start()

    def said(self) -> float:
        return float(self.file.read_text())

    def says_nothing(self) -> bool:
        before = self.said()
        time.sleep(0.1)
        return self.said() == before

    def says_something(self, call: Callable[[], None]) -> bool:
        """Whether it does with `call` made now."""
        call()
        return not self.says_nothing()

    def keep(self, call: Callable[[], None], seconds: float = 1.0) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            call()
            time.sleep(0.02)


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


def test_a_loop_that_hangs_is_not_alive(watched: Watched) -> None:
    watched.refuses = True
    assert watched.liveness.lives  # no loop yet
    watched.liveness.consumes()
    wait_until(watched.says_nothing, "the loop counts as hung", 5)
    assert not watched.liveness.lives
    again = watched.liveness.consumes
    wait_until(lambda: watched.says_something(again), "it comes round again", 5)


def test_who_tries_to_reach_a_redis_that_refuses_is_alive(watched: Watched) -> None:
    watched.refuses = True
    tries = watched.liveness.comes_round
    watched.keep(tries)
    assert watched.liveness.lives
    wait_until(lambda: watched.says_something(tries), "it counts as alive", 5)


def test_who_finds_no_way_to_a_redis_that_is_there_is_not_alive(watched: Watched) -> None:
    watched.refuses = True
    watched.keep(watched.liveness.comes_round)
    watched.refuses = False
    watched.keep(watched.liveness.comes_round)
    assert not watched.liveness.lives
    assert watched.says_nothing()


def test_who_has_lost_a_thread_is_not_alive(watched: Watched) -> None:
    thread = threading.Thread(target=lambda: None)
    watched.liveness.needs(thread.is_alive)
    thread.start()
    thread.join()
    watched.liveness.consumes()
    assert not watched.liveness.lives


def test_who_can_open_nothing_is_not_alive(watched: Watched) -> None:
    link = watched.file.with_name("link")
    link.symlink_to("/proc/none/beat")
    link.replace(watched.file)  # at once: the thread would make a file that is missing
    watched.keep(watched.liveness.consumes, 0.2)
    assert not watched.file.exists()


def test_who_is_being_stopped_may_take_its_time(watched: Watched) -> None:
    watched.liveness.leaves()
    time.sleep(0.6)
    assert watched.liveness.lives
    wait_until(lambda: not watched.says_nothing(), "it counts as alive", 5)


def test_looks_go_on_behind_one_that_fails() -> None:
    """Also when what it raises is no Exception, as of a library that panics."""
    seen: list[float] = []

    def look() -> None:
        seen.append(time.monotonic())
        raise BaseException("a panic")

    looks = ReconcilerThread(look, 0.01)
    assert not looks.lives()
    looks.start()
    wait_until(lambda: len(seen) > 3, "it looks again and again", 5)
    assert looks.lives()
    looks.stop(5.0)
    assert not looks.lives()


@pytest.mark.parametrize("setting", ["SEQWAY_HEARTBEAT_FILE", "SEQWAY_METRICS_PORT"])
def test_a_setting_that_cannot_be_had_is_named(setting: str, tmp_path: Path) -> None:
    launch = worker_service(on_free_ports(StackSettings(), tmp_path / "run")).launch()
    with socket.socket() as holder:
        holder.bind((HOST, 0))
        holder.listen()
        values = {
            "SEQWAY_HEARTBEAT_FILE": "/proc/beat",
            "SEQWAY_METRICS_PORT": str(holder.getsockname()[1]),
        }
        finished = subprocess.run(
            launch.command,
            env={**launch.environment, setting: values[setting]},
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert finished.returncode == 1
    assert f"seqway worker: {setting}: " in finished.stderr
