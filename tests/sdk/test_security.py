"""API keys and TLS files, over real connections."""

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
import trustme
from seqway import AsyncClient, Client, TlsFiles, UnavailableError

from tests.sdk.command_line import refused, seqway
from tests.sdk.server import FakeServer, running_server

KEY = "sqw_aaaaaaaa_secret"


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """Authority, and a client's certificate and key, as files."""
    authority = trustme.CA()
    shown = authority.issue_cert("caller")
    server = authority.issue_cert("127.0.0.1")
    contents = {
        "ca": authority.cert_pem,
        "certificate": shown.cert_chain_pems[0],
        "key": shown.private_key_pem,
        "server_certificate": server.cert_chain_pems[0],
        "server_key": server.private_key_pem,
    }
    for name, pem in contents.items():
        pem.write_to_path(str(tmp_path / name))
    return {name: str(tmp_path / name) for name in contents}


@pytest.fixture
def mutual(files: dict[str, str]) -> Iterator[FakeServer]:
    """A server that wants a certificate."""
    key, certificate, authority = (
        Path(files[name]).read_bytes() for name in ("server_key", "server_certificate", "ca")
    )
    credentials = grpc.ssl_server_credentials(
        [(key, certificate)], root_certificates=authority, require_client_auth=True
    )
    with running_server(credentials) as running:
        yield running


async def test_the_key_goes_with_every_call(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Client(server.address, api_key=KEY) as client:
        client.translate("a", source="en", target="fr")
        list(client.stream_translate("a", source="en", target="fr"))
        client.classify("a")
    monkeypatch.setenv("SEQWAY_API_KEY", "another")
    async with AsyncClient(server.address) as again:
        await again.classify("a")
    sent = [each.get("authorization") for each in server.metadata]
    assert sent == [f"Bearer {KEY}"] * 3 + ["Bearer another"]


@pytest.mark.parametrize("address", ["example.org:1", "127.0.0.1.example.org:1", "10.0.0.1:1"])
def test_a_key_does_not_go_over_a_network_in_plaintext(address: str) -> None:
    with pytest.raises(ValueError, match=f"the API key would go to {address} in plaintext"):
        Client(address, api_key=KEY)
    Client(address, api_key=KEY, tls=True).close()
    Client(address, api_key=KEY, allow_plaintext_key=True).close()
    Client(address).close()


@pytest.mark.parametrize("address", ["localhost:1", "127.0.0.2:1", "[::1]:1", "dns:///localhost:1"])
def test_a_key_may_stay_on_the_machine(address: str) -> None:
    Client(address, api_key=KEY).close()


def test_files_of_tls_are_arguments_or_variables(
    mutual: FakeServer, files: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    named = TlsFiles(files["ca"], files["certificate"], files["key"])
    with Client(mutual.address, tls=named) as client:
        assert client.translate("a", source="en", target="fr").text == "A"
    with (
        Client(mutual.address, tls=TlsFiles(files["ca"]), timeout=5) as client,
        pytest.raises(UnavailableError),
    ):
        client.translate("a", source="en", target="fr")
    for name in ("ca", "certificate", "key"):
        monkeypatch.setenv(f"SEQWAY_TLS_{name.upper()}", files[name])
    with Client(mutual.address) as client:
        assert client.translate("a", source="en", target="fr").text == "A"


def test_a_certificate_needs_its_key() -> None:
    with pytest.raises(ValueError, match="go together"):
        Client("localhost:1", tls=TlsFiles(certificate="some.pem"))


def test_the_command_line_has_them_too(mutual: FakeServer, files: dict[str, str]) -> None:
    options = ["--address", mutual.address, "--tls-ca", files["ca"]]
    shown = ["--tls-certificate", files["certificate"], "--tls-key", files["key"]]
    finished = seqway("translate", "a", "--to", "fr", "--from", "en", *options, *shown)
    assert (finished.returncode, finished.stdout) == (0, b"A\n"), finished.stderr
    missing = refused("models", *options, "--tls-certificate", "/nowhere", code=2)
    assert "a TLS certificate and its key go together" in " ".join(missing.split())
    assert "/nowhere: No such file" in refused("models", "--tls-ca", "/nowhere", code=2)
    said = refused("models", "--address", "example.org:1", "--api-key", KEY, code=2)
    assert "in plaintext" in said
    assert KEY not in said
