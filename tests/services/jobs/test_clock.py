"""Processes whose clocks are wrong: what one of them writes, another one reads."""

import ast
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from jobs_bench import Bench, make_bench
from redis_server import RedisServer

from services.inference.errors import InvalidOptionError
from services.inference.tasks.translation.translator import TranslationRequest
from services.jobs.errors import QueueUnavailableError, StoreUnavailableError
from services.jobs.lifecycle.creation import NewJob
from services.jobs.queue.board import Board
from services.jobs.store.clock import Clock
from services.jobs.store.objects import open_store
from services.jobs.store.records import State

_ROOT = Path(__file__).resolve().parents[3]
_HOUR = 3600.0
_YEAR = 365 * 86400.0


def texts(count: int) -> list[str]:
    return [f"text {number}" for number in range(count)]


class Source:
    """A clock that a test sets; away while it is None."""

    def __init__(self, now: float | None) -> None:
        self.time = now
        self.asked = 0

    def now(self) -> float:
        self.asked += 1
        if self.time is None:
            raise QueueUnavailableError("away")
        return self.time


@pytest.fixture
def bench(redis_server: RedisServer, tmp_path: Path) -> Iterator[Bench]:
    with redis_server.client() as client:
        client.flushall()
    made = make_bench(redis_server.url, f"file://{tmp_path}/store")
    yield made
    made.close()


@pytest.fixture(params=[-_YEAR, -_HOUR, _HOUR, _YEAR], ids=["-1y", "-1h", "+1h", "+1y"])
def wrong_clock(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> float:
    """The machine's clock is that wrong, as this process sees it."""
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + request.param)
    return float(request.param)


def test_redis_tells_the_time() -> None:
    redis, store = Source(5000.0), Source(1.0)
    clock = Clock(redis, store)
    assert clock.now() == pytest.approx(5000.0, abs=1.0)
    assert clock.now() > 4999.0
    assert (redis.asked, store.asked) == (1, 0)


def test_the_time_goes_on_without_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    redis, store = Source(5000.0), Source(1.0)
    clock = Clock(redis, store)
    clock.now()
    redis.time = None
    real = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: real() + 100.0)
    assert clock.now() == pytest.approx(5100.0, abs=1.0)
    asked = redis.asked
    assert clock.now() == pytest.approx(5100.0, abs=1.0)
    assert redis.asked == asked, "one that is away is not asked at each call"
    assert store.asked == 0


def test_the_store_tells_the_time_until_redis_was_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    redis, store = Source(None), Source(7000.0)
    clock = Clock(redis, store)
    assert clock.now() == pytest.approx(7000.0, abs=1.0)
    redis.time = 5000.0
    real = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: real() + 10.0)
    assert clock.now() == pytest.approx(5000.0, abs=1.0)


def test_nobody_invents_a_time() -> None:
    with pytest.raises(QueueUnavailableError):
        Clock(Source(None), Source(None)).now()


@pytest.mark.parametrize(("redis", "store"), [(9000.0, 1.0), (1.0, 9000.0)])
def test_what_cannot_be_taken_back_waits_for_both_clocks(redis: float, store: float) -> None:
    assert not Clock(Source(redis), Source(store)).is_over(5000.0)
    assert Clock(Source(redis), Source(store)).is_over(0.5)


def test_a_store_tells_the_time(store_url: str) -> None:
    store = open_store(store_url)
    assert store.now() == pytest.approx(time.time(), abs=3.0)
    assert list(store.keys("")) == []


def test_a_store_that_takes_nothing_tells_no_time(tmp_path: Path) -> None:
    store = open_store(f"file://{tmp_path}/store")
    (tmp_path / "store" / "clock").touch()
    with pytest.raises(StoreUnavailableError):
        store.now()


def test_redis_is_asked_by_its_own_clock(redis_server: RedisServer) -> None:
    board = Board(redis_server.url, 1.0, {})
    assert board.now() == pytest.approx(time.time(), abs=3.0)
    board.close()


@pytest.mark.usefixtures("wrong_clock")
def test_a_worker_and_a_controller_expire_no_job_early(bench: Bench) -> None:
    job = bench.submit(texts(12), deadline=bench.board.now() + 900).id
    bench.pump(most=1)
    bench.reconciler.reconcile()
    assert bench.settle(job).state is State.SUCCEEDED
    assert bench.progress(job).counts.succeeded == 12
    bench.check(job, 12)


@pytest.mark.usefixtures("wrong_clock")
def test_a_job_expires_at_its_time(bench: Bench) -> None:
    job = bench.submit(texts(8), deadline=bench.board.now() + 1.0).id
    deadline = time.monotonic() + 10
    while not bench.progress(job).ended:
        assert time.monotonic() < deadline
        bench.reconciler.reconcile()
    assert bench.progress(job).state is State.EXPIRED
    bench.check(job, 8)


def test_a_deadline_is_judged_by_the_shared_clock(bench: Bench, wrong_clock: float) -> None:
    task = TranslationRequest(source="en", target="fr", model="tiny")
    late = NewJob("default", task, _HOUR, deadline=bench.board.now() - 5)
    with pytest.raises(InvalidOptionError, match="deadline has passed"):
        bench.creator.create(late, iter(()))
    assert list(bench.archive.store.keys("")) == []
    bench.submit(texts(1), deadline=bench.board.now() + 30)
    done = bench.submit(texts(4)).id
    bench.settle(done)
    with pytest.raises(InvalidOptionError, match="deadline has passed"):
        bench.operations.resume("default", done, bench.board.now() - 5)


def test_times_in_records_are_those_of_redis(bench: Bench, wrong_clock: float) -> None:
    record = bench.submit(texts(4))
    bench.settle(record.id)
    final = bench.progress(record.id).final
    assert final is not None
    now = bench.board.now()
    for told in (record.created, final.ended, final.delete - record.retention):
        assert told == pytest.approx(now, abs=30.0)
    key = next(iter(bench.archive.store.keys("expiring/")))
    assert int(key.split("/")[1].split("-")[0]) / 1000 == pytest.approx(final.delete, abs=1.0)


def test_jobs_of_gateways_with_other_clocks_come_in_order(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = time.time
    ids = []
    for shift in (_HOUR, -_HOUR, 0.0, _YEAR):
        monkeypatch.setattr(time, "time", lambda shift=shift: real() + shift)
        ids.append(bench.submit(texts(4)).id)
    page, _ = bench.operations.page("default", "", 10, lambda _: True)
    assert [one.run.record.id for one in page] == ids[::-1]
    bench.feeder.feed()
    assert [ticket.job for ticket in bench.queue.chunks] == ids


@pytest.mark.usefixtures("wrong_clock")
def test_nothing_is_deleted_early(bench: Bench) -> None:
    job = bench.submit(texts(4)).id
    bench.settle(job)
    bench.archive.activate("upload", "default")
    bench.archive.store.create("jobs/upload/input-x/000000.jsonl", b"")
    bench.reconciler.reconcile()
    assert bench.archive.record(job) is not None
    assert bench.archive.active_since("upload") is not None
    bench.check(job, 4)


def test_a_redis_whose_clock_runs_ahead_deletes_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = bench.submit(texts(4)).id
    bench.settle(job)
    now = bench.board.now
    monkeypatch.setattr(bench.board, "now", lambda: now() + _YEAR)
    bench.archive.clock = Clock(bench.board, bench.archive.store)
    bench.reconciler.reconcile()
    assert bench.archive.record(job) is not None


def test_no_code_of_jobs_and_workers_asks_the_local_clock() -> None:
    """Durations are monotonic, and what others read comes from `clock.Clock`."""
    asked = []
    for folder in ("services/jobs", "workers"):
        for path in sorted((_ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Attribute):
                    name = ast.unparse(node)
                    wrong = name in ("time.time", "time.time_ns", "time.localtime", "time.gmtime")
                    if wrong or name.endswith(("datetime.now", "datetime.utcnow", "date.today")):
                        asked.append(f"{path.relative_to(_ROOT)}:{node.lineno}")
    assert asked == []
