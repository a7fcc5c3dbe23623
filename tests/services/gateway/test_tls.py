"""TLS and mTLS with real certificates: callers, probes, metrics, renewal."""

import http.client
import socket
import ssl
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme
from gateway_stack import MakeStack, Stack, open_channel, wait_until
from grpc_health.v1 import health_pb2, health_pb2_grpc
from redis_server import free_port
from seqway.v1 import translation_pb2 as pb
from seqway.v1 import translation_pb2_grpc

from services.foundation.endpoints import serve_metrics
from services.foundation.environment import InvalidSettingsError, read_settings
from services.gateway.settings import GatewaySettings

REQUEST = pb.TranslateRequest(
    contents=["Hello."], source_language_code="en", target_language_code="fr"
)


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


def write(folder: Path, authority: trustme.CA, *, client_ca: trustme.CA | None = None) -> None:
    """The files of a gateway on this machine."""
    server = authority.issue_cert("127.0.0.1", "localhost")
    (folder / "key.pem").write_bytes(server.private_key_pem.bytes())
    chain = b"".join(pem.bytes() for pem in server.cert_chain_pems)
    (folder / "certificate.pem").write_bytes(chain)
    (folder / "ca.pem").write_bytes((client_ca or authority).cert_pem.bytes())


def settings(folder: Path, *, mutual: bool = False) -> dict[str, Any]:
    named = {"tls_certificate": folder / "certificate.pem", "tls_key": folder / "key.pem"}
    return named | ({"tls_client_ca": folder / "ca.pem"} if mutual else {})


def credentials(
    authority: trustme.CA, shown: trustme.LeafCert | None = None
) -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(
        root_certificates=authority.cert_pem.bytes(),
        private_key=shown.private_key_pem.bytes() if shown else None,
        certificate_chain=shown.cert_chain_pems[0].bytes() if shown else None,
    )


async def code(stack: Stack, credentials: grpc.ChannelCredentials | None) -> str:
    """How a call ends over a connection of its own."""
    async with open_channel(f"127.0.0.1:{stack.gateway.port}", credentials) as channel:
        stub: Any = translation_pb2_grpc.TranslationServiceStub(channel)
        try:
            await stub.Translate(REQUEST, timeout=10)
        except grpc.aio.AioRpcError as error:
            return error.code().name
    return "OK"


async def test_plaintext_and_strangers_are_refused(
    make_stack: MakeStack, authority: trustme.CA, tmp_path: Path
) -> None:
    write(tmp_path, authority)
    stack = await make_stack(**settings(tmp_path), credentials=credentials(authority))
    assert await code(stack, credentials(authority)) == "OK"
    assert await code(stack, None) == "UNAVAILABLE"
    assert await code(stack, credentials(trustme.CA())) == "UNAVAILABLE", "not our authority"


async def test_callers_show_a_certificate_where_they_must(
    make_stack: MakeStack, authority: trustme.CA, tmp_path: Path
) -> None:
    ours = trustme.CA()
    write(tmp_path, authority, client_ca=ours)
    shown = credentials(authority, ours.issue_cert("caller"))
    stack = await make_stack(**settings(tmp_path, mutual=True), credentials=shown)
    assert await code(stack, shown) == "OK"
    assert await code(stack, credentials(authority)) == "UNAVAILABLE"
    stranger = credentials(authority, trustme.CA().issue_cert("caller"))
    assert await code(stack, stranger) == "UNAVAILABLE"


async def test_certificates_are_renewed_without_a_restart(
    make_stack: MakeStack, authority: trustme.CA, tmp_path: Path
) -> None:
    write(tmp_path, authority)
    stack = await make_stack(**settings(tmp_path), credentials=credentials(authority))
    new = trustme.CA()
    write(tmp_path, new)
    assert await code(stack, credentials(new)) == "OK"
    assert await code(stack, credentials(authority)) == "UNAVAILABLE"
    assert await stack.serves(), "connections that are open stay"


@pytest.mark.parametrize(
    ("broken", "message"),
    [("ca.pem", "does not contain CA certificates"), ("key.pem", "are not a certificate and its")],
)
async def test_files_that_hold_something_else_are_named(
    make_stack: MakeStack, authority: trustme.CA, tmp_path: Path, broken: str, message: str
) -> None:
    write(tmp_path, authority)
    (tmp_path / broken).write_text("nothing")
    with pytest.raises(InvalidSettingsError, match=message):
        await make_stack(**settings(tmp_path, mutual=True))


async def test_probes_need_no_certificate_and_reach_nothing_else(
    make_stack: MakeStack, authority: trustme.CA, tmp_path: Path
) -> None:
    write(tmp_path, authority)
    port = free_port()
    stack = await make_stack(
        **settings(tmp_path, mutual=True),
        credentials=credentials(authority, authority.issue_cert("caller")),
        health_port=port,
    )
    async with open_channel(f"127.0.0.1:{port}") as channel:
        health: Any = health_pb2_grpc.HealthStub(channel)

        async def state(service: str) -> str:
            answer = await health.Check(health_pb2.HealthCheckRequest(service=service))
            return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))

        assert await state("liveness") == await state("readiness") == "SERVING"
        stub: Any = translation_pb2_grpc.TranslationServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Translate(REQUEST)
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
        await stack.twin.stop()

        async def is_not_ready() -> bool:
            return await state("readiness") == "NOT_SERVING"

        await wait_until(is_not_ready)
        assert await state("liveness") == "SERVING", "a restart would not bring Triton back"


def test_metrics_are_served_with_the_certificates(authority: trustme.CA, tmp_path: Path) -> None:
    write(tmp_path, authority)
    port = free_port()
    known = read_settings(
        GatewaySettings, **settings(tmp_path, mutual=True), metrics_tls=True, metrics_port=port
    )
    serving = serve_metrics(known.serving)
    assert serving is not None
    server, thread = serving
    try:
        context = ssl.create_default_context(cafile=tmp_path / "ca.pem")
        with pytest.raises((ssl.SSLError, OSError)):
            fetch(port, context)
        shown = authority.issue_cert("prometheus")
        with shown.private_key_and_cert_chain_pem.tempfile() as path:
            context.load_cert_chain(path)
        with socket.create_connection(("127.0.0.1", port)):  # it says nothing, and stays
            assert b"seqway_gateway_calls_in_flight" in fetch(port, context)
    finally:
        server.shutdown()
        thread.join()


def fetch(port: int, context: ssl.SSLContext) -> bytes:
    connection = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=10)
    try:
        connection.request("GET", "/metrics")
        return connection.getresponse().read()
    finally:
        connection.close()
