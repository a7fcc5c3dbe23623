"""Redis that dies, forgets, hangs and is full."""

import time

import pytest
from seqway import JobState, SeqwayError

from tests.faults.stack import BrokenStack


def test_it_comes_back_empty(broken: BrokenStack) -> None:
    job = broken.submit_and_start()
    broken.forget_redis()
    broken.restore()
    broken.check(job)


def test_everything_in_it_is_flushed(broken: BrokenStack) -> None:
    job = broken.submit_and_start()
    with broken.redis() as client:
        client.flushall()
    broken.check(job)


@pytest.mark.slow_fault
def test_it_is_restarted_with_what_it_knew(broken: BrokenStack) -> None:
    job = broken.submit_and_start()
    broken.kill_service("redis")
    broken.restore()
    broken.check(job)


@pytest.mark.slow_fault
def test_it_is_away_for_30_s_three_times(broken: BrokenStack) -> None:
    """Each time a job is taken while it is away, and every worker consumes again behind it."""
    jobs = [broken.submit_and_start(4000)]
    for turn in range(3):
        broken.kill_service("redis")
        jobs.append(broken.submit(100, seed=turn + 1))
        time.sleep(30)
        broken.restore()
        time.sleep(5)
    for job in jobs:
        broken.check(job)


def test_it_takes_no_more(broken: BrokenStack) -> None:
    """At maxmemory: a job is taken all the same, and done when there is room."""
    job = broken.submit_and_start()
    with broken.redis() as client:
        client.config_set("maxmemory", 1)
        try:
            second = broken.submit(100, seed=1)
            time.sleep(5)
        finally:
            client.config_set("maxmemory", 0)
    broken.check(job)
    broken.check(second)


_REFUSALS = {
    "full": (("CONFIG", "SET", "maxmemory", "1"), ("CONFIG", "SET", "maxmemory", "0")),
    "read-only": (("REPLICAOF", "127.0.0.1", "1"), ("REPLICAOF", "NO", "ONE")),
    "locked": (("CONFIG", "SET", "requirepass", "x"), ("CONFIG", "SET", "requirepass", "")),
}


@pytest.mark.slow_fault
@pytest.mark.parametrize("how", list(_REFUSALS))
def test_it_refuses_for_a_while(broken: BrokenStack, how: str) -> None:
    """Longer than leases last; nothing stays open, and everybody finds back."""
    job = broken.submit_and_start(4000)
    pids = [broken.pid(name) for name in ("worker", "controller", "gateway")]
    before = [broken.open_files(pid) for pid in pids]
    refuse, heal = _REFUSALS[how]
    with broken.redis() as client:
        client.execute_command(*refuse)
        if how == "locked":
            client.execute_command("AUTH", "x")
        client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        try:
            second = broken.submit(100, seed=1)
            time.sleep(30)
            during = [broken.open_files(pid) for pid in pids]
        finally:
            client.execute_command(*heal)
    broken.check(job)
    broken.check(second)
    assert [broken.pid(name) for name in ("worker", "controller", "gateway")] == pids
    for at_first, then in zip(before, during, strict=True):
        assert then <= at_first + 25


@pytest.mark.slow_fault
def test_its_scripts_are_flushed(broken: BrokenStack) -> None:
    job = broken.submit_and_start()
    with broken.redis() as client:
        for _ in range(20):
            client.script_flush()
            time.sleep(0.1)
    broken.check(job)


@pytest.mark.slow_fault
def test_it_hangs(broken: BrokenStack) -> None:
    """Nobody waits for it: what callers ask for is in the store, and done when it answers."""
    job, third = broken.submit_and_start(), broken.submit(2000, seed=2)
    broken.freeze("redis")
    try:
        began = time.monotonic()
        second = broken.submit(100, seed=1)
        assert broken.client.jobs.cancel(third.id).cancel_requested
        assert {job.id, second.id, third.id} <= {one.id for one in broken.client.jobs.list()}
        assert time.monotonic() - began < 6, "the first call waits for 1.5 s, and the others do not"
        time.sleep(10)
    finally:
        broken.thaw("redis")
    broken.check(job)
    broken.check(second)
    broken.check(third, JobState.CANCELLED)


def test_workers_do_not_read_a_stream_of_garbage_for_ever(broken: BrokenStack) -> None:
    """Messages of unknown jobs, and of chunks that are done, are dropped."""
    done = broken.check(broken.submit(100))
    with broken.redis() as client:
        client.zadd("seqway:out", {f"{done.id}/1/0": 0, "nothing/1/0": 0})
    job = broken.submit(200, seed=1)
    broken.check(job)
    assert broken.check(broken.client.jobs.get(done.id)) == done
    with pytest.raises(SeqwayError):
        broken.client.jobs.get("nothing")
