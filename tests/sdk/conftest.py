from collections.abc import Iterator

import pytest

from tests.sdk.server import FakeServer, running_server


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with running_server() as running:
        yield running


@pytest.fixture
def environment(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the command line finds the server, and a terminal that is wide and has no colours."""
    monkeypatch.setenv("SEQWAY_ADDRESS", server.address)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "160")
