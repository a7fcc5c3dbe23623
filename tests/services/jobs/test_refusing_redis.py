"""Redis that refuses, forgets and moves: no place is lost, and nothing is left open."""

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from jobs_bench import Bench, make_bench
from redis_server import RedisServer, binaries, free_port

from services.jobs.chunks.heartbeat import Heartbeat
from services.jobs.errors import QueueUnavailableError
from services.jobs.queue.board import Board, Ticket
from services.jobs.queue.lease import Lease
from services.jobs.queue.messages import Queue, celery_app
from services.jobs.settings import JobSettings
from services.jobs.store.records import State

_LONG = 30.0  # no test waits for a lease
_REFUSALS = 500
_FEW = 5


def texts(count: int) -> list[str]:
    return [f"text {number}" for number in range(count)]


@pytest.fixture(params=list(binaries()))
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RedisServer]:
    """One of its own, since it is hurt."""
    server = RedisServer(binaries()[request.param], tmp_path)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def bench(server: RedisServer, tmp_path: Path) -> Iterator[Bench]:
    made = make_bench(server.url, f"file://{tmp_path}/store", chunk_lease=_LONG)
    yield made
    made.close()


@contextmanager
def full(server: RedisServer) -> Iterator[None]:
    with server.client() as client:
        client.config_set("maxmemory", 1)
        try:
            yield
        finally:
            client.config_set("maxmemory", 0)


@contextmanager
def read_only(server: RedisServer) -> Iterator[None]:
    """As the old primary is behind a failover."""
    with server.client() as client:
        client.execute_command("REPLICAOF", "127.0.0.1", str(free_port()))
        try:
            yield
        finally:
            client.execute_command("REPLICAOF", "NO", "ONE")


@contextmanager
def locked(server: RedisServer) -> Iterator[None]:
    """Behind a password that nobody was told."""
    with server.client() as client:
        client.config_set("requirepass", "other")
        client.execute_command("AUTH", "other")
        client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        try:
            yield
        finally:
            client.config_set("requirepass", "")


@contextmanager
def away(server: RedisServer) -> Iterator[None]:
    server.stop()
    try:
        yield
    finally:
        server.start()


Fault = Callable[[RedisServer], "contextmanager[None]"]
FAULTS = pytest.mark.parametrize("fault", [full, read_only, locked, away])


def state(server: RedisServer) -> dict[str, object]:
    """Everything that the board keeps."""
    with server.client() as client:
        return {
            key: client.zrange(key, 0, -1, withscores=True)
            for key in sorted(client.keys("seqway:*"))
            if client.type(key) == "zset"
        }


def open_files() -> int:
    gc.collect()  # clients that refer to themselves
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_chunk_whose_message_is_refused_waits_again_at_once(
    bench: Bench, server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = bench.submit(texts(20)).id
    before = state(server)

    def refuse(_: Ticket) -> None:
        raise QueueUnavailableError("Redis takes no message")

    with monkeypatch.context() as patch:
        patch.setattr(bench.queue, "run_chunk", refuse)
        for _ in range(3):
            with pytest.raises(QueueUnavailableError):
                bench.feeder.feed()
    assert state(server) == before
    bench.pump()
    assert bench.progress(job).state is State.SUCCEEDED
    bench.check(job, 20)


def test_what_a_worker_has_begun_is_not_taken_back(bench: Bench) -> None:
    """A message that seemed refused, and came."""
    bench.submit(texts(4))
    handout = bench.board.dispatch(1, _LONG)
    assert handout is not None
    assert bench.board.acquire(handout.ticket, "worker", _LONG)
    bench.board.take_back(handout)
    assert bench.board.load().out == 1
    assert bench.board.renew(handout.ticket, "worker", _LONG)


def test_at_maxmemory_nothing_is_handed_out(bench: Bench, server: RedisServer) -> None:
    job = bench.submit(texts(20)).id
    before = state(server)
    with full(server), pytest.raises(QueueUnavailableError):
        bench.feeder.feed()
    assert state(server) == before
    bench.pump()
    bench.check(job, 20)


def test_at_maxmemory_a_worker_can_give_back(bench: Bench, server: RedisServer) -> None:
    bench.submit(texts(20))
    first, second = (bench.board.dispatch(4, _LONG) for _ in range(2))
    assert first is not None
    assert second is not None
    assert bench.board.acquire(first.ticket, "worker", _LONG)
    with full(server):
        bench.board.put_back(first, "worker")
        bench.board.take_back(second)
    load = bench.board.load()
    assert (load.pending, load.out) == (5, 0)


def test_a_lost_message_is_found_before_its_lease_runs_out(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis took it out of the queue, and refused to note who has it."""
    job = bench.submit(texts(40)).id
    bench.feeder.feed()
    lost = {bench.queue.chunks.popleft() for _ in range(2)}
    bench.reconciler.reconcile()
    assert bench.board.unowned() >= lost
    real = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: real() + _LONG / 3)
    bench.reconciler.reconcile()
    assert lost <= set(bench.queue.chunks)
    assert len(bench.queue.chunks) == bench.settings.chunk_window, "those that wait stay out"
    bench.pump()
    bench.check(job, 40)
    assert len(bench.inference.seen) == 40


def test_what_waits_in_the_queue_is_known_by_its_chunk(bench: Bench, server: RedisServer) -> None:
    queue = Queue(celery_app(JobSettings(redis_url=server.url)))
    tickets = {Ticket("job", 1, chunk) for chunk in range(3)}
    for ticket in tickets:
        queue.run_chunk(ticket)
    queue.finish_job("job")
    assert queue.waiting(bench.board) == tickets
    with server.client() as client:
        client.rpop("seqway.chunks")
        client.lpush("seqway.chunks", "no JSON", "[]", '{"headers": {}}', '{"headers": null}')
        client.lpush("seqway.chunks", '{"headers": {"ticket": "x"}}', '{"headers": {"ticket": 5}}')
        left = queue.waiting(bench.board)
        assert left is not None
        assert len(left) == 2
        assert left < tickets
        client.lpush("seqway.chunks", *["flood"] * 10_000)
    assert queue.waiting(bench.board) is None


def test_a_chunk_that_is_done_holds_no_place(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its worker could not tell Redis."""
    job = bench.submit(texts(40)).id

    def away(*_: object) -> bool:
        raise QueueUnavailableError("Redis does not answer")

    with monkeypatch.context() as patch:
        patch.setattr(bench.board, "release", away)
        bench.pump(most=2)
    assert bench.progress(job).counts.done == 8
    bench.reconciler.reconcile()
    assert bench.board.load().out == len(bench.queue.chunks)
    bench.pump()
    bench.check(job, 40)


@FAULTS
def test_a_job_goes_on_when_redis_works_again(
    bench: Bench, server: RedisServer, fault: Fault
) -> None:
    job = bench.submit(texts(40)).id
    bench.pump(most=2)
    bench.feeder.feed()
    with fault(server):
        ticket = bench.queue.chunks.popleft()
        bench.runner.run(ticket)  # goes on without a lease
        with pytest.raises(QueueUnavailableError):
            bench.feeder.feed() or bench.board.acquire(ticket, "x", 1.0)
    bench.settle(job)
    bench.check(job, 40)
    assert len(bench.inference.seen) == 40


def test_scripts_that_are_forgotten_are_sent_again(bench: Bench, server: RedisServer) -> None:
    job = bench.submit(texts(8)).id
    with server.client() as client:
        for _ in range(2):
            client.script_flush()
            bench.pump(most=1)
    bench.check(job, 8)


def test_a_primary_that_became_a_replica_is_left(server: RedisServer) -> None:
    """What stands at the address now is asked, and not the one that was there before."""
    board = Board(server.url, 1.0, {})
    ticket = Ticket("job", 1, 0)
    assert board.acquire(ticket, "one", _LONG)
    with server.client() as client:
        known = {each["id"] for each in client.client_list()}
        with read_only(server), pytest.raises(QueueUnavailableError):
            board.renew(ticket, "one", _LONG)
        assert board.renew(ticket, "one", _LONG)
        mine = {each["id"] for each in client.client_list()} - {str(client.client_id())}
    assert not mine & known
    board.close()


def test_no_lease_lasts_until_a_clock_that_ran_ahead(bench: Bench, server: RedisServer) -> None:
    now = bench.board.now()
    with server.client() as client:
        client.zadd("seqway:out", {"job/1/0": (now + 3600) * 1000, "job/1/1": (now + 1) * 1000})
        assert bench.board.sweep(10.0) == []
        scores = dict(client.zrange("seqway:out", 0, -1, withscores=True))
    assert scores["job/1/0"] <= (bench.board.now() + 10) * 1000
    assert scores["job/1/1"] == pytest.approx((now + 1) * 1000)


@FAULTS
def test_refusals_leave_nothing_open(server: RedisServer, fault: Fault) -> None:
    """As in a gateway that takes jobs meanwhile."""
    settings = JobSettings(redis_url=server.url, redis_timeout=1.0)
    board, queue = Board(settings.redis_url, 1.0, {}), Queue(celery_app(settings))
    ticket = Ticket("job", 1, 0)
    queue.run_chunk(ticket)
    board.acquire(ticket, "x", _LONG)
    before = open_files()
    with fault(server):
        for _ in range(_REFUSALS):
            with pytest.raises(QueueUnavailableError):
                queue.run_chunk(ticket)
            with pytest.raises(QueueUnavailableError):
                board.acquire(ticket, "x", _LONG)
    queue.run_chunk(ticket)
    assert board.acquire(ticket, "x", _LONG)
    assert open_files() <= before + _FEW
    board.close()


def test_losing_the_connection_again_and_again_leaves_nothing_open(server: RedisServer) -> None:
    settings = JobSettings(redis_url=server.url, redis_timeout=1.0)
    board, queue = Board(settings.redis_url, 1.0, {}), Queue(celery_app(settings))
    ticket = Ticket("job", 1, 0)
    before = open_files()
    with server.client() as client:
        for _ in range(_REFUSALS):
            for call in (lambda: queue.run_chunk(ticket), board.now):
                try:
                    call()
                except QueueUnavailableError:
                    continue
            client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    assert open_files() <= before + _FEW
    board.close()


def test_a_heartbeat_goes_on_behind_a_panic(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """What obstore raises when descriptors run out is no Exception."""
    record = bench.submit(texts(4))
    lease = Lease(bench.board, Ticket(record.id, 1, 0), 0.03)
    heart = Heartbeat(lease, bench.archive, bench.run(record.id))
    beats: list[float] = []

    def look() -> None:
        beats.append(time.monotonic())
        raise BaseException("a panic")

    monkeypatch.setattr(heart, "look", look)
    with heart:
        deadline = time.monotonic() + 10
        while len(beats) < 3:
            assert time.monotonic() < deadline
            time.sleep(0.01)
