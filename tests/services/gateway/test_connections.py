"""Connections are bounded in time and number, and end when they flood the gateway."""

import asyncio
import socket
import ssl
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import grpc
import h2.config
import h2.connection
import pytest
from gateway_stack import MakeStack, Stack, failure, open_channel, wait_until
from seqway.v1 import model_pb2, model_pb2_grpc
from seqway.v1.translation_pb2 import TranslateRequest

from services.gateway.calls import connections
from services.gateway.calls.connections import _peer_at, _peer_of

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\x04\x00" + bytes(4)
_SETTINGS_ACK = bytes(3) + b"\x04\x01" + bytes(4)
LIST = model_pb2.ListModelsRequest()
_SECONDS = 15.0

PING = b"\x00\x00\x08\x06" + bytes(5) + b"01234567"
SETTINGS = bytes(3) + b"\x04" + bytes(5)
WINDOW_UPDATE = b"\x00\x00\x04\x08" + bytes(5) + b"\x00\x00\x00\x01"
RST_STREAM = b"\x00\x00\x04\x03\x00\x00\x00\x00\x01\x00\x00\x00\x08"
PRIORITY = b"\x00\x00\x05\x02\x00\x00\x00\x00\x03" + bytes(4) + b"\x10"
UNKNOWN = bytes(3) + b"\xbb" + bytes(5)


@contextmanager
def connected(port: int, data: bytes = b"", count: int = 1) -> Iterator[list[socket.socket]]:
    """Connections that have sent so much and no more."""
    with ExitStack() as stack:
        made = [
            stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=_SECONDS))
            for _ in range(count)
        ]
        for connection in made:
            connection.sendall(data)
        yield made


def until_closed(connection: socket.socket) -> None:
    """Reads to the end; TimeoutError when it does not come."""
    connection.settimeout(_SECONDS)
    try:
        while connection.recv(1 << 16):
            pass
    except ConnectionError:
        pass


async def all_closed(made: list[socket.socket]) -> None:
    await asyncio.gather(*(asyncio.to_thread(until_closed, each) for each in made))


def call(path: str = "/seqway.v1.TranslationService/Translate") -> bytes:
    """What a client sends to begin a call."""
    made = h2.connection.H2Connection(h2.config.H2Configuration())
    made.initiate_connection()
    names = {":method": "POST", ":scheme": "http", ":path": path, ":authority": "x"}
    content = {"te": "trailers", "content-type": "application/grpc"}
    made.send_headers(1, [*names.items(), *content.items()])
    return made.data_to_send()


@pytest.mark.parametrize("data", [b"", _PREFACE[:10], _PREFACE[:24]], ids=len)
async def test_who_does_not_finish_the_handshake_is_cut_off(
    make_stack: MakeStack, data: bytes
) -> None:
    stack = await make_stack(handshake_timeout=0.5)
    with connected(stack.gateway.port, data, 50) as made:
        await all_closed(made)
    assert await stack.models.ListModels(LIST)


async def test_a_tls_handshake_that_stops_in_its_middle_is_cut_off(make_stack: MakeStack) -> None:
    """In plaintext, too, these bytes lead nowhere."""
    stack = await make_stack(handshake_timeout=0.5)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    hello = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="x")
    with pytest.raises(ssl.SSLWantReadError):
        hello.do_handshake()
    with connected(stack.gateway.port, outgoing.read()[:50], 20) as made:
        await all_closed(made)
    assert await stack.models.ListModels(LIST)


async def test_an_idle_connection_is_closed_and_its_client_comes_back(
    make_stack: MakeStack,
) -> None:
    stack = await make_stack(max_connection_idle=0.5)
    assert await stack.models.ListModels(LIST)
    with connected(stack.gateway.port, _PREFACE + _SETTINGS_ACK) as made:
        await all_closed(made)
    for _ in range(3):
        await asyncio.sleep(0.6)
        assert await stack.models.ListModels(LIST)


async def test_idle_connections_are_bounded_in_number(
    make_stack: MakeStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that have had no call for longest end; where calls run, none does."""
    monkeypatch.setattr(connections, "_IDLE_SECONDS", 1.0)
    stack = await make_stack(max_idle_connections=20)
    address = f"127.0.0.1:{stack.gateway.port}"
    stack.twin.gate.clear()
    async with open_channel(address) as other:
        at_work = stack.translation.Translate(
            TranslateRequest(
                contents=["one two"], source_language_code="en", target_language_code="fr"
            )
        )
        await wait_until(lambda: stack.twin.running > 0)
        with connected(stack.gateway.port, _PREFACE + _SETTINGS_ACK, 200) as made:
            await wait_until(lambda: sum(map(_is_open, made)) <= 20)
            assert await model_pb2_grpc.ModelServiceStub(other).ListModels(LIST)
            assert sum(map(_is_open, made)) >= 18
        stack.twin.gate.set()
        assert (await at_work).translations


def _is_open(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        while connection.recv(1 << 16):
            pass
    except BlockingIOError:
        return True
    except ConnectionError:
        return False
    return False


async def test_more_connections_than_may_be_are_closed_at_once(make_stack: MakeStack) -> None:
    stack = await make_stack(max_connections=30)
    with connected(stack.gateway.port, b"", 28) as held:
        assert await stack.models.ListModels(LIST), "who has a connection keeps it"
        with connected(stack.gateway.port, b"", 5) as more:
            await all_closed(more[2:])
        assert held
    await wait_until(lambda: stack.models.ListModels(LIST, wait_for_ready=True, timeout=5))


@pytest.mark.parametrize(
    "frame", [PING, SETTINGS, WINDOW_UPDATE, RST_STREAM, PRIORITY, UNKNOWN], ids=lambda f: f[3]
)
@pytest.mark.parametrize("reads", [True, False], ids=["reads", "deaf"])
async def test_a_flood_of_frames_ends_its_connection(
    frame: bytes, reads: bool, stack: Stack
) -> None:
    with connected(stack.gateway.port, _PREFACE + _SETTINGS_ACK) as [connection]:
        await asyncio.to_thread(_flood, connection, frame, reads)
    assert await stack.models.ListModels(LIST)


def _flood(connection: socket.socket, frame: bytes, reads: bool) -> None:
    """Sends as fast as it can, until the gateway has ended the connection."""
    deadline = time.monotonic() + _SECONDS
    block = frame * 10_000
    while time.monotonic() < deadline:
        connection.settimeout(0.05)
        try:
            connection.sendall(block)
        except TimeoutError:
            pass
        except ConnectionError:
            return
        if _has_ended(connection) or (reads and _read(connection)):
            return
    raise AssertionError("the connection is still open")


def _read(connection: socket.socket) -> bool:
    """Takes what is there; whether that was the end."""
    connection.settimeout(0)
    try:
        return not connection.recv(1 << 20)
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


def _has_ended(connection: socket.socket) -> bool:
    """Whether the other side has ended it, of which who does not read hears otherwise nothing."""
    established = 1
    return connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] != established


async def test_a_flood_beside_a_call_ends_its_connection(stack: Stack) -> None:
    """Pings end the calls of their connection; then it is like any other flood."""
    with connected(stack.gateway.port, call()) as [connection]:
        await asyncio.to_thread(_flood, connection, PING, True)
    assert await stack.models.ListModels(LIST)


@pytest.mark.parametrize("body", [b"", struct.pack(">?I", False, 1000) + b"x" * 10], ids=len)
async def test_a_request_that_does_not_come_whole_is_answered(
    make_stack: MakeStack, body: bytes
) -> None:
    stack = await make_stack(request_timeout=0.5)
    made = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
    made.initiate_connection()
    names = {":method": "POST", ":scheme": "http", ":authority": "x"}
    path = {":path": "/seqway.v1.TranslationService/Translate"}
    content = {"te": "trailers", "content-type": "application/grpc"}
    made.send_headers(1, [*names.items(), *path.items(), *content.items()])
    if body:
        made.send_data(1, body)
    with connected(stack.gateway.port, made.data_to_send()) as [connection]:
        trailers = await asyncio.to_thread(_trailers, connection, made)
    assert trailers["grpc-status"] == str(grpc.StatusCode.DEADLINE_EXCEEDED.value[0])
    assert "0.5 s" in trailers["grpc-message"]


def _trailers(connection: socket.socket, made: h2.connection.H2Connection) -> dict[str, str]:
    found: dict[str, str] = {}
    while "grpc-status" not in found:
        for event in made.receive_data(connection.recv(1 << 16)):
            found |= dict(getattr(event, "headers", ()))
        connection.sendall(made.data_to_send())
    return found


async def test_many_calls_that_are_refused_are_no_flood(make_stack: MakeStack) -> None:
    """Each is small and has an answer, as a ping has; callers without a key learn that by it."""
    stack = await make_stack(
        jwt_issuer="https://issuer.example", jwt_audience="seqway", jwt_jwks="https://127.0.0.1:1/"
    )
    until = time.monotonic() + 2.5
    while time.monotonic() < until:
        metadata = (("x-long", "y" * 2000),)
        refused = (failure(stack.models.ListModels(LIST, metadata=metadata)) for _ in range(50))
        for told in await asyncio.gather(*refused):
            assert told == ("UNAUTHENTICATED", "CREDENTIALS_MISSING", "")


async def test_a_call_without_a_message_is_malformed(stack: Stack) -> None:
    call = stack.channel.stream_unary("/seqway.v1.TranslationService/Translate")
    assert await failure(call(iter(()))) == ("INVALID_ARGUMENT", "MALFORMED_MESSAGE", "")


async def test_a_large_message_that_takes_its_time_is_taken(stack: Stack) -> None:
    """Seconds without an end of a call are no flood while a call is under way."""
    text = "word " * 100_000
    data = TranslateRequest(
        contents=[text] * 4, source_language_code="en", target_language_code="none"
    ).SerializeToString()
    made = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
    made.initiate_connection()
    names = {":method": "POST", ":scheme": "http", ":authority": "x"}
    path = {":path": "/seqway.v1.TranslationService/Translate"}
    content = {"te": "trailers", "content-type": "application/grpc"}
    made.send_headers(1, [*names.items(), *path.items(), *content.items()])
    with connected(stack.gateway.port, made.data_to_send()) as [connection]:
        trailers = await asyncio.to_thread(
            _send_slowly, connection, made, struct.pack(">?I", False, len(data)) + data
        )
    assert trailers["grpc-status"] == str(grpc.StatusCode.INVALID_ARGUMENT.value[0])


def _send_slowly(
    connection: socket.socket, made: h2.connection.H2Connection, data: bytes
) -> dict[str, str]:
    pause = 2.5 / (len(data) / made.max_outbound_frame_size)
    while data:
        room = min(made.local_flow_control_window(1), made.max_outbound_frame_size)
        part, data = data[:room], data[room:]
        if part:
            made.send_data(1, part, end_stream=not data)
            connection.sendall(made.data_to_send())
            time.sleep(pause)
        else:
            made.receive_data(connection.recv(1 << 16))
    return _trailers(connection, made)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_peers_are_known_by_the_names_that_grpc_gives(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with (
        socket.create_server((host, 0), family=family) as listening,
        socket.create_connection(listening.getsockname()[:2]) as client,
        listening.accept()[0] as accepted,
    ):
        port = client.getsockname()[1]
        assert _peer_at(accepted) == (host, port)
    name = f"ipv6:%5B{host}%5D:{port}" if ":" in host else f"ipv4:{host}:{port}"
    assert _peer_of(name) == (host, port)
    assert _peer_of("unix:") == ("", 0)
