"""What a worker may do with a chunk, and what it may not any more."""

from jobs_bench import Bench

from services.jobs.queue.board import Board, Ticket
from services.jobs.queue.lease import Lease

_SECONDS = 30.0


def taken(bench: Bench) -> tuple[str, Ticket]:
    """A job whose only chunk is out, and that chunk."""
    job = bench.submit(["a", "b"]).id
    bench.feeder.feed()
    return job, bench.queue.chunks.popleft()


def test_one_worker_has_a_chunk_until_it_lets_go(bench: Bench) -> None:
    _, ticket = taken(bench)
    first, second = (Lease(bench.board, ticket, _SECONDS) for _ in range(2))
    assert first.token != second.token
    assert first.acquire() and not second.acquire()
    assert first.renew() and not second.renew()
    assert not second.release(), "the chunk is still out"
    assert first.renew(), "who has no lease ends none"
    assert first.release()
    assert bench.board.load().out == 0


def test_a_chunk_that_is_given_back_waits_again(bench: Bench) -> None:
    job, ticket = taken(bench)
    run = bench.run(job)
    lease, other = (Lease(bench.board, ticket, _SECONDS) for _ in range(2))
    assert lease.acquire()
    other.give_back(run)
    assert (bench.board.load().pending, bench.board.load().out) == (0, 1)
    lease.give_back(run)
    assert (bench.board.load().pending, bench.board.load().out) == (1, 0)
    bench.settle(job)
    bench.check(job, 2)


def test_a_lease_that_another_worker_took_over_is_lost(bench: Bench) -> None:
    _, ticket = taken(bench)
    sleeper, other = (Lease(bench.board, ticket, _SECONDS) for _ in range(2))
    assert sleeper.acquire()
    assert bench.board.drop(ticket, owned=True)
    assert other.acquire()
    assert not sleeper.renew()


def test_a_redis_that_came_back_empty_is_told_of_the_lease(bench: Bench) -> None:
    _, ticket = taken(bench)
    lease, other = (Lease(bench.board, ticket, _SECONDS) for _ in range(2))
    assert lease.acquire()
    bench.board._redis.flushall()
    assert lease.renew()
    assert not other.acquire()


def test_a_lease_is_held_while_redis_is_away(bench: Bench) -> None:
    job, ticket = taken(bench)
    run = bench.run(job)
    away = Board("redis://127.0.0.1:1/0", 0.2, {})
    lease = Lease(away, ticket, _SECONDS)
    assert lease.acquire() and lease.renew()
    assert not lease.release(), "the reconciler sees whether the job has ended"
    lease.give_back(run)
