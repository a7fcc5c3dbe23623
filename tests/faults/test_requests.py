"""Calls that race each other."""

import socket
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from seqway import Client, InvalidRequestError, Job, JobState

from deploy.local import processes
from deploy.local.services.workers import controller_service
from tests.faults.stack import BrokenStack, lines, wait_until

_ENDS = {JobState.SUCCEEDED, JobState.CANCELLED}


def test_fifty_submits_with_one_request_id(broken: BrokenStack) -> None:
    request_id = f"fifty-{time.time()}"

    def submit(_: int) -> Job:
        return broken.client.jobs.translate(
            lines(100), source="en", target="fr", request_id=request_id
        )

    with ThreadPoolExecutor(50) as pool:
        jobs = list(pool.map(submit, range(50)))
    assert len({job.id for job in jobs}) == 1
    broken.check(jobs[0])
    with pytest.raises(InvalidRequestError) as caught:
        broken.client.jobs.translate(lines(50), source="en", target="fr", request_id=request_id)
    assert caught.value.reason == "REQUEST_ID_CONFLICT"
    assert broken.client.jobs.get(jobs[0].id).counts.total == 100


@pytest.mark.parametrize("delay", [0.0, 0.3, 0.6, 0.9, 1.2, 1.6])
def test_cancelling_races_completion(broken: BrokenStack, delay: float) -> None:
    """One final state, whoever wins, and it stays."""
    job = broken.submit(400)
    time.sleep(delay)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: broken.client.jobs.cancel(job.id), range(4)))
    ended = broken.check(job, state=None)
    assert ended.state in _ENDS
    assert (ended.state is JobState.CANCELLED) == (ended.counts.cancelled > 0)
    broken.client.jobs.cancel(job.id)
    assert broken.check(job, ended.state).counts == ended.counts


@pytest.mark.slow_fault
def test_two_controllers(broken: BrokenStack) -> None:
    """The second looks at the same jobs at the same time."""
    launch = controller_service(broken.settings).launch()
    log = broken.settings.run_directory / "second.log"
    command = [one.replace("controller@", "second@") for one in launch.command]
    environment = {**launch.environment, "SEQWAY_METRICS_PORT": "0"}  # the first one has the port
    second = processes.spawn("second", tuple(command), environment, log, launch.directory)
    try:
        with broken.redis() as client:
            wait_until(
                lambda: client.exists(_alive(second.pid)) == 1, "the second controller consumes"
            )
        jobs = [broken.submit_and_start(), broken.submit(300, seed=1)]
        with broken.redis() as client:
            client.flushall()
        for job in jobs:
            broken.check(job)
    finally:
        processes.stop(second, 20)


def _alive(pid: int) -> str:
    return f"seqway:alive:controller:{socket.gethostname()}:{pid}"


def test_a_small_tenant_is_not_kept_waiting(broken: BrokenStack) -> None:
    large = broken.submit_and_start(12_000)
    with Client(broken.client.address, tenant="small", timeout=30) as other:
        small = other.jobs.translate(lines(10, seed=1), source="en", target="fr")
        replace(broken, client=other).check(small)
    assert broken.client.jobs.get(large.id).counts.done < 6_000
    broken.client.jobs.cancel(large.id)
    broken.check(large, JobState.CANCELLED)
