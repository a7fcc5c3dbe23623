"""What stays on this machine goes through no proxy; a client may be made outside an event loop."""

import asyncio

import pytest
from seqway import AsyncClient, Client, SeqwayError
from seqway.transport.loopback import is_loopback

from tests.sdk.command_line import seqway
from tests.sdk.server import FakeServer

PROXIES = ("http_proxy", "https_proxy", "grpc_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy")


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that nobody listens at."""
    for name in PROXIES:
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)


@pytest.mark.usefixtures("proxy")
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "dns:///127.0.0.1", "ipv4:127.0.0.1"])
async def test_clients_reach_this_machine_without_the_proxy(server: FakeServer, host: str) -> None:
    address = f"{host}:{server.address.rpartition(':')[2]}"
    with Client(address, api_key="a-key") as client:
        assert client.translate("a game", source="en", target="fr").text == "A GAME"
    async with AsyncClient(address, api_key="a-key") as again:
        assert (await again.translate("a game", source="en", target="fr")).text == "A GAME"


@pytest.mark.usefixtures("proxy", "environment")
def test_the_command_line_does_too() -> None:
    assert seqway("translate", "a game").stdout == b"A GAME\n"


@pytest.mark.usefixtures("proxy")
def test_other_hosts_are_reached_through_the_proxy() -> None:
    with (
        Client("server.example:50051", timeout=5) as client,
        pytest.raises(SeqwayError, match=r"127\.0\.0\.1:9"),
    ):
        client.translate("a", source="en", target="fr")


def test_an_async_client_connects_when_it_is_first_used(server: FakeServer) -> None:
    client = AsyncClient(server.address)

    async def streamed() -> str:
        return "".join(
            [piece async for piece in client.stream_translate("b", source="en", target="fr").text()]
        )

    assert asyncio.run(client.translate("a", source="en", target="fr")).text == "A"
    assert asyncio.run(streamed()) == "B"
    assert asyncio.run(client.translate("c", source="en", target="fr")).text == "C"
    asyncio.run(client.close())
    asyncio.run(AsyncClient(server.address).close())


@pytest.mark.parametrize(
    ("address", "is_local"),
    [
        ("127.0.0.1:50051", True),
        ("127.8.9.1:50051", True),
        ("127.0.0.1", True),
        ("[::1]:50051", True),
        ("::1", True),
        ("[::ffff:127.0.0.1]:1", True),
        ("localhost:50051", True),
        ("LOCALHOST.:50051", True),
        ("api.localhost:50051", True),
        ("dns:localhost:50051", True),
        ("dns:///[::1]:50051", True),
        ("dns://8.8.8.8/localhost:1", True),
        ("ipv4:127.0.0.1:1,127.0.0.2:2", True),
        ("ipv4:127.0.0.1:1,10.0.0.1:2", False),
        ("unix:/run/seqway.sock", True),
        ("unix-abstract:seqway", True),
        ("10.0.0.1:50051", False),
        ("[2001:db8::1]:50051", False),
        ("localhost.example:50051", False),
        ("127.0.0.1.example:50051", False),
        ("xds:///localhost.mesh", False),
        ("0.0.0.0:50051", False),
        ("", False),
    ],
)
def test_which_addresses_are_on_this_machine(address: str, is_local: bool) -> None:
    assert is_loopback(address) is is_local
