"""The real stack: Triton with the exported example models, the gateway, and the SDK."""

import os
from collections.abc import AsyncIterator, Callable, Iterator

import grpc
import pytest
from seqway import AsyncClient, Client, Translation

from deploy.local.assembly import running_stack
from deploy.local.ports import HOST
from deploy.local.settings import StackSettings
from tests.integration.gauges import Gauges

FP32, INT8 = "en-fr_fp32", "en-fr_int8"

Alone = Callable[[str, str], Translation]


@pytest.fixture(scope="package")
def settings() -> StackSettings:
    """Skips where Triton or a model is missing; under CI=true that is a failure."""
    settings = StackSettings()
    _require(
        (settings.triton_environment / ".installed").exists(),
        "Triton's environment is missing: run `make setup`",
    )
    for variant in (FP32, INT8):
        _require(
            (settings.model_repository / variant / "config.pbtxt").exists(),
            f"{variant} is not exported: run `make models`",
        )
    return settings


def _require(present: bool, otherwise: str) -> None:
    if not present:
        if os.environ.get("CI") == "true":
            pytest.fail(otherwise)
        pytest.skip(otherwise)


@pytest.fixture(scope="package")
def stack(settings: StackSettings) -> Iterator[StackSettings]:
    """One stack that all tests share which don't break it."""
    with running_stack(settings) as running:
        yield running


@pytest.fixture(scope="package")
def address(stack: StackSettings) -> str:
    return f"{HOST}:{stack.ports.gateway.number}"


@pytest.fixture(scope="package")
def gauges(stack: StackSettings) -> Gauges:
    return Gauges(stack.ports.triton_metrics.number)


@pytest.fixture(scope="package")
def client(address: str) -> Iterator[Client]:
    with Client(address) as client:
        yield client


@pytest.fixture
async def async_client(address: str) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(address) as client:
        yield client


@pytest.fixture(scope="package")
def channel(address: str) -> Iterator[grpc.Channel]:
    """For what the SDK has no words for."""
    with grpc.insecure_channel(address) as channel:
        yield channel


@pytest.fixture(params=[FP32, INT8])
def variant(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="package")
def alone(client: Client) -> Alone:
    """What a variant makes of a text when it has nothing else to do."""
    known: dict[tuple[str, str], Translation] = {}

    def translate(variant: str, text: str) -> Translation:
        key = variant, text
        if key not in known:
            answer = client.translate(text, source="en", target="fr", model=variant)
            known[key] = answer.translations[0]
        return known[key]

    return translate
