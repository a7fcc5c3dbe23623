"""The whole stack, and a real Prometheus that reads of all its processes."""

from collections.abc import Iterator

import pytest
from seqway import Client

from deploy.local.assembly import running_full_stack
from deploy.local.settings import StackSettings
from tests.faults.stack import BrokenStack, address
from tests.monitoring.prometheus import Prometheus
from tests.monitoring.rules import hurried_rules
from tests.stack.conftest import (  # noqa: F401
    examples_exported,
    models_exported,
    triton_installed,
)

_MODELS = ("en-fr_int8", "deb-section_int8")
_SETTINGS = {
    "SEQWAY_CHUNK_ITEMS": "64",
    "SEQWAY_RECONCILE_INTERVAL": "1",
    "SEQWAY_REDIS_TIMEOUT": "2",
    "SEQWAY_WORKER_STALL": "3",
    "SEQWAY_MODEL_PATIENCE": "2",
    "SEQWAY_JOB_PAUSE": "2",
    "SEQWAY_LOG_FORMAT": "console",
    "SEQWAY_TENANT_LIMITS": '{"limited": {"requests_per_minute": 1}}',
}
WINDOW = "6s"


@pytest.fixture(scope="package")
def observed(
    examples_exported: None,  # noqa: F811
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[BrokenStack]:
    repository = tmp_path_factory.mktemp("repository")
    for model in _MODELS:
        (repository / model).symlink_to(StackSettings().model_repository / model)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in _SETTINGS.items():
            patch.setenv(name, value)
        own = StackSettings(model_repository=repository)
        with (
            running_full_stack(own) as (started, stack),
            Client(address(started), timeout=30) as client,
        ):
            yield BrokenStack(stack, started, client)


@pytest.fixture(scope="package")
def prometheus(
    observed: BrokenStack, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prometheus]:
    ports = observed.settings.ports
    targets = {
        "seqway-gateway": ports.gateway_metrics.number,
        "seqway-triton": ports.triton_metrics.number,
        "seqway-worker": ports.worker_metrics.number,
        "seqway-controller": ports.controller_metrics.number,
    }
    folder = tmp_path_factory.mktemp("prometheus")
    server = Prometheus(folder, targets, hurried_rules(WINDOW))
    server.start()
    yield server
    server.stop()
