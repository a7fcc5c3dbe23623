"""A stack with certificates on every hop, and who knocks at its doors."""

import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import trustme
from seqway import Client, TlsFiles

from deploy.local.certificates import StackCertificates
from deploy.local.ports import HOST
from deploy.local.settings import StackSettings

_SECONDS = 5.0
_HTTP2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
_METRICS = b"GET /metrics HTTP/1.0\r\n\r\n"


@dataclass(frozen=True)
class Door:
    """A port, what to say there, and what is said to those who may come in."""

    port: str
    words: bytes
    welcome: bytes


DOORS = (
    # What follows the length of an HTTP/2 server's first frame: SETTINGS of connection 0.
    Door("gateway", _HTTP2, bytes([4, 0, 0, 0, 0, 0])),
    Door("triton_grpc", _HTTP2, bytes([4, 0, 0, 0, 0, 0])),
    Door("redis", b"PING\r\n", b"+PONG"),
    Door("gateway_metrics", _METRICS, b"200 OK"),
    Door("worker_metrics", _METRICS, b"200 OK"),
    Door("controller_metrics", _METRICS, b"200 OK"),
)


def issue(
    authority: trustme.CA, folder: Path, trusted: trustme.CA | None = None
) -> StackCertificates:
    """A certificate for this machine, beside the authority that its owner trusts."""
    folder.mkdir()
    leaf = authority.issue_cert(HOST, "localhost")
    (trusted or authority).cert_pem.write_to_path(str(folder / "ca.crt"))
    leaf.private_key_pem.write_to_path(str(folder / "tls.key"))
    leaf.cert_chain_pems[0].write_to_path(str(folder / "tls.crt"))
    return StackCertificates.find(folder)


@dataclass(frozen=True)
class SecuredStack:
    """A stack that runs; `stranger` trusts our authority, but has a certificate of another's.

    `misled` has our certificate, and trusts the other authority.
    """

    settings: StackSettings
    api_key: str
    ours: StackCertificates
    stranger: StackCertificates
    misled: StackCertificates

    def client(self, certificates: StackCertificates | None, timeout: float = 60.0) -> Client:
        """One with a key."""
        tls: TlsFiles | bool = False
        if certificates is not None:
            tls = TlsFiles(certificates.authority, certificates.certificate, certificates.key)
        address = self.settings.gateway_address
        return Client(address, tls=tls, api_key=self.api_key, timeout=timeout)

    def knock(self, door: Door, context: ssl.SSLContext | None) -> bool:
        """Whether who comes in plaintext, or with this context, is welcome."""
        port = getattr(self.settings.ports, door.port).number
        answer = b""
        with (
            # Who is refused is cut off, or told by an alert, in the handshake or after it.
            suppress(ConnectionError, ssl.SSLError),
            socket.create_connection((HOST, port), timeout=_SECONDS) as plain,
            _dressed(plain, context) as connection,
        ):
            connection.sendall(door.words)
            while door.welcome not in answer and (more := connection.recv(4096)):
                answer += more
        return door.welcome in answer


def context_of(certificates: StackCertificates, *, shown: bool = True) -> ssl.SSLContext:
    """For a client, which shows its certificate or none."""
    context = ssl.create_default_context(cafile=certificates.authority)
    context.set_alpn_protocols(["h2"])
    if shown:
        context.load_cert_chain(certificates.certificate, certificates.key)
    return context


def _dressed(plain: socket.socket, context: ssl.SSLContext | None) -> socket.socket:
    return plain if context is None else context.wrap_socket(plain, server_hostname=HOST)
