"""Each process is replaced under load, as an upgrade does; nothing that was accepted is lost."""

import time

import pytest

from tests.faults.load import Load, asking_without_pause
from tests.faults.rolling import replace, replace_gateway
from tests.faults.stack import BrokenStack, address, wait_until

_ENOUGH_CALLS = 8
_LINES = 1500


@pytest.fixture
def load(broken: BrokenStack) -> Load:
    return Load(address(broken.settings))


def test_every_process_is_replaced(broken: BrokenStack, load: Load) -> None:
    """Only while no Triton is there are calls refused, and none that was begun is given up."""
    before = broken.weights()
    job = broken.submit_and_start(_LINES)
    with load.running():
        _go_on(load)
        for name in ("redis", "worker", "controller"):
            replace(broken, name)
            _go_on(load)
        replace_gateway(broken)
        _go_on(load)
        assert load.failures() == []
        replace(broken, "triton")
        ready = time.monotonic()
        _go_on(load)
    load.check()
    assert [one for one in load.failures() if one.began > ready] == []
    broken.check(job)
    broken.check_weights(before)


def test_a_gateway_is_replaced_under_short_calls(broken: BrokenStack) -> None:
    """Some always reach it after it has stopped to take calls, before their client knows."""
    job = broken.submit_and_start()
    results = broken.client.jobs.results(job.id)
    read = [next(results).index]
    with asking_without_pause(broken.client.address):
        replace_gateway(broken)
    read += [one.index for one in results]
    assert read == list(range(job.counts.total))
    broken.check(job)


@pytest.mark.slow_fault
def test_everything_is_replaced_twice(broken: BrokenStack, load: Load) -> None:
    before = broken.weights()
    job = broken.submit_and_start(2 * _LINES)
    with load.running():
        for name in ("triton", "redis", "controller", "worker") * 2:
            replace(broken, name)
            replace_gateway(broken)
            _go_on(load)
    load.check()
    broken.check(job)
    broken.check_weights(before)


def _go_on(load: Load) -> None:
    """Until calls that began after this moment have been answered."""
    moment = time.monotonic()

    def answered() -> bool:
        fresh = [one for one in list(load.outcomes) if one.began > moment and one.error is None]
        return len(fresh) >= _ENOUGH_CALLS

    wait_until(answered, "calls are answered", 60)
