"""Workers that die, sleep and leave."""

import signal
import time

import pytest

from tests.faults.stack import BrokenStack, wait_until


def test_a_child_is_killed(broken: BrokenStack) -> None:
    job = broken.submit_and_start()
    broken.kill(broken.children("worker")[0])
    broken.check(job)


def test_the_whole_pool_is_killed(broken: BrokenStack) -> None:
    job = broken.submit_and_start()
    broken.kill_service("worker")
    broken.restore()
    broken.check(job)


@pytest.mark.slow_fault
def test_the_parent_is_killed(broken: BrokenStack) -> None:
    job = broken.submit_and_start()
    broken.kill(broken.pid("worker"))
    wait_until(lambda: not broken.stack.status()[3].pid, "the parent is gone")
    broken.restore()
    broken.check(job)


@pytest.mark.slow_fault
def test_every_child_is_killed_again_and_again(broken: BrokenStack) -> None:
    job = broken.submit_and_start(3000)
    for _ in range(5):
        broken.kill(*broken.children("worker"))
        time.sleep(1.5)
    broken.check(job)


def test_a_child_sleeps_past_its_lease(broken: BrokenStack) -> None:
    """Somebody else does its chunk; what it commits when it wakes up changes nothing."""
    job = broken.submit_and_start()
    sleeper = broken.children("worker")[0]
    broken.kill(sleeper, with_signal=signal.SIGSTOP)
    try:
        ended = broken.check(job)
    finally:
        broken.kill(sleeper, with_signal=signal.SIGCONT)
    after = broken.check(broken.submit(100, seed=1))
    assert after.counts.succeeded == 100
    assert broken.check(job) == ended


def test_a_child_is_killed_when_its_result_appears(broken: BrokenStack) -> None:
    """Between the result and the acknowledgement, as near as one gets from outside."""
    job = broken.submit(1500)
    folder = broken.store / "jobs" / job.id

    def results() -> int:
        return sum(1 for path in folder.rglob("*") if path.is_file() and "run-" in str(path))

    for _ in range(4):
        seen = results()
        wait_until(lambda seen=seen: results() > seen, "a result appears")  # type: ignore[misc]
        broken.kill(*broken.children("worker"))
    broken.check(job)


def test_workers_are_replaced_under_load(broken: BrokenStack) -> None:
    """As a roll-out does: SIGTERM, and a new one."""
    job = broken.submit_and_start(2000)
    pid = broken.pid("worker")
    broken.kill(pid, with_signal=signal.SIGTERM)
    wait_until(lambda: not broken.stack.status()[3].pid, "the worker has left")
    broken.restore()
    assert broken.pid("worker") != pid
    broken.check(job)


def test_the_controller_is_killed(broken: BrokenStack) -> None:
    job = broken.submit_and_start()
    broken.kill_service("controller")
    broken.restore()
    broken.check(job)


@pytest.mark.slow_fault
def test_the_gateway_is_replaced_under_a_watcher(broken: BrokenStack) -> None:
    """The SDK's streams go on behind what they have read."""
    job = broken.submit_and_start()
    results = broken.client.jobs.results(job.id)
    read = [next(results).index]
    broken.kill_service("gateway")
    broken.restore()
    read += [one.index for one in results]
    assert read == list(range(job.counts.total))
    broken.check(job)


@pytest.mark.slow_fault
def test_a_chunk_that_was_given_up_twice_is_done_once(broken: BrokenStack) -> None:
    """All children sleep past the lease, and more than once."""
    job = broken.submit_and_start()
    for _ in range(2):
        children = broken.children("worker")
        broken.kill(*children, with_signal=signal.SIGSTOP)
        time.sleep(6)
        broken.kill(*children, with_signal=signal.SIGCONT)
        time.sleep(1)
    broken.check(job)
