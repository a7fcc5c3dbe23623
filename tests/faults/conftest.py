"""One stack with short leases; `make test-faults` runs every fault, `make test` the quick ones."""

import os
from collections.abc import Iterator

import pytest
from seqway import Client

from deploy.local.assembly import running_full_stack
from deploy.local.settings import StackSettings
from tests.faults.stack import BrokenStack, address

_MODEL = "en-fr_int8"
_SETTINGS = {
    "SEQWAY_CHUNK_ITEMS": "64",
    "SEQWAY_CHUNK_LEASE": "4",
    "SEQWAY_RECONCILE_INTERVAL": "1",
    "SEQWAY_REDIS_TIMEOUT": "2",
    "SEQWAY_WORKER_STALL": "5",
    "SEQWAY_LOG_FORMAT": "console",
    "SEQWAY_REUSE_PORT": "true",
    "SEQWAY_DRAIN_GRACE": "12",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The slow faults are for `make test-faults`."""
    if os.environ.get("SEQWAY_FAULTS") != "all":
        for item in items:
            if item.get_closest_marker("slow_fault"):
                item.add_marker(pytest.mark.skip(reason="a slow fault: run `make test-faults`"))


@pytest.fixture(scope="package")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokenStack]:
    settings = StackSettings()
    model = settings.model_repository / _MODEL
    missing = not (
        (settings.triton_environment / ".installed").exists() and (model / "config.pbtxt").exists()
    )
    if missing:
        otherwise = f"Triton or {_MODEL} is missing: run `make setup models`"
        if os.environ.get("CI") == "true":
            pytest.fail(otherwise)
        pytest.skip(otherwise)
    repository = tmp_path_factory.mktemp("repository")
    (repository / _MODEL).symlink_to(model)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in _SETTINGS.items():
            patch.setenv(name, value)
        own = StackSettings(model_repository=repository)
        with (
            running_full_stack(own) as (started, stack),
            Client(address(started), timeout=30) as client,
        ):
            yield BrokenStack(stack, started, client)


@pytest.fixture
def broken(running: BrokenStack) -> Iterator[BrokenStack]:
    """Whole before the test, and whole again behind it, with what it weighed before."""
    running.restore()
    job = running.submit(200)
    running.check(job)
    before = running.weights()
    pids = {name: running.pid(name) for name in before}
    yield running
    running.restore()
    if pids == {name: running.pid(name) for name in before}:
        running.check_weights(before)
