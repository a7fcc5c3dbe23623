"""Closes connections that misuse the gateway, where gRPC keeps them open.

gRPC bounds how long a handshake takes and how long a connection may be idle.  But it answers a
flood of PING frames with a GOAWAY, and closes the connection only when nothing is left to write,
which the flood prevents; it bounds no other frames; and it accepts any number of idle connections.
Its sockets are found in /proc; without that, or TCP_INFO of Linux, none is closed.
"""

import asyncio
import fcntl
import os
import socket
import struct
import sys
import termios
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, cast
from urllib.parse import unquote

import structlog

from services.gateway import metrics
from services.gateway.calls.handlers import Context

Peer: TypeAlias = tuple[str, int]

logger = structlog.get_logger(__name__)

_INTERVAL = 1.0
_DESCRIPTORS = Path("/proc/self/fd")
_MAPPED = "::ffff:"
# struct tcp_info of Linux: tcpi_bytes_acked and tcpi_bytes_received.
_BYTES, _BYTES_AT, _INFO_SIZE = struct.Struct("=QQ"), 120, 256
# In a second in which no call of the connection begins, runs or ends, honest clients send a ping,
# or what is left of messages that were refused: as much as the windows of HTTP/2 have room for.
_FLOOD_BYTES = 8 * 1024 * 1024
# So much is a flood when most of it had to be answered, as PING and SETTINGS are.
_ANSWERED_FLOOD_BYTES, _ANSWERED = 64 * 1024, 0.25
# Connections may be idle for so long whatever their number.
_IDLE_SECONDS = 10.0


@dataclass
class _ClientConnection:
    """What is known of a connection from look to look; times by the monotonic clock."""

    idle_since: float
    sent: int = 0
    received: int = 0


class Connections:
    """Notes which connections have calls, and looks at all of them once a second."""

    def __init__(self, most_idle: int) -> None:
        self._most_idle = most_idle
        self._calls: Counter[Peer] = Counter()
        self._busy: set[Peer] = set()
        self._known: dict[Peer, _ClientConnection] = {}

    def note(self, context: Context) -> None:
        """Counts a call of a connection until it ends."""
        peer = _peer_of(context.peer())
        self._calls[peer] += 1
        self._busy.add(peer)

        def ended(_context: Context) -> None:
            self._note_end(peer)

        context.add_done_callback(cast(Any, ended))  # the stubs want another type

    async def watch(self, *ports: int) -> None:
        """Looks at the connections to these ports of this process until it is cancelled."""
        while True:
            await asyncio.sleep(_INTERVAL)
            self._look(ports)

    def _note_end(self, peer: Peer) -> None:
        self._calls[peer] -= 1
        self._busy.add(peer)
        if not self._calls[peer]:
            del self._calls[peer]

    def _look(self, ports: tuple[int, ...]) -> None:
        now = time.monotonic()
        found: dict[Peer, int] = {}
        floods: list[Peer] = []
        for peer, descriptor, sent, received in _connections(ports):
            found[peer] = descriptor
            known = self._known.setdefault(peer, _ClientConnection(now))
            answered, asked = sent - known.sent, received - known.received
            known.sent, known.received = sent, received
            if peer in self._busy or peer in self._calls:
                known.idle_since = now
            elif asked > _FLOOD_BYTES or (
                asked > _ANSWERED_FLOOD_BYTES and answered > _ANSWERED * asked
            ):
                floods.append(peer)
        self._busy.clear()
        self._known = {peer: self._known[peer] for peer in found}
        metrics.CONNECTIONS.set(len(found))
        self._close(floods, found, "flood")
        self._close(self._too_many(now), found, "idle")

    def _too_many(self, now: float) -> list[Peer]:
        """Those that have been idle for longest, beyond the number that may be."""
        idle = [
            (known.idle_since, peer)
            for peer, known in self._known.items()
            if now - known.idle_since >= _IDLE_SECONDS
        ]
        return [peer for _, peer in sorted(idle)[: max(0, len(idle) - self._most_idle)]]

    def _close(self, peers: list[Peer], found: dict[Peer, int], reason: str) -> None:
        closed = sum(_shut(found[peer], peer) for peer in peers)
        if closed:
            metrics.CLOSED.labels(reason).inc(closed)
            logger.warning("connections closed", reason=reason, count=closed)


def _connections(ports: tuple[int, ...]) -> Iterator[tuple[Peer, int, int, int]]:
    """Peer, descriptor, bytes sent to it and received, of each connection to the ports."""
    for entry in _DESCRIPTORS.iterdir() if _DESCRIPTORS.is_dir() else ():
        with suppress(OSError, struct.error):
            descriptor = int(entry.name)
            connection = socket.socket(fileno=descriptor)
            try:
                if connection.family not in (socket.AF_INET, socket.AF_INET6):
                    continue
                if connection.getsockname()[1] not in ports:
                    continue
                peer = _peer_at(connection)
                info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO_SIZE)
                queued = fcntl.ioctl(descriptor, termios.TIOCOUTQ, bytes(4))
            finally:
                connection.detach()  # it is gRPC's
            taken, received = _BYTES.unpack_from(info, _BYTES_AT)
            yield peer, descriptor, taken + int.from_bytes(queued, sys.byteorder), received


def _shut(descriptor: int, peer: Peer) -> bool:
    """Ends a connection for both sides, unless the descriptor has become another's meanwhile."""
    with suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as connection:
        if _peer_at(connection) == peer:
            connection.shutdown(socket.SHUT_RDWR)
            return True
    return False


def _peer_at(connection: socket.socket) -> Peer:
    host, port = connection.getpeername()[:2]
    return host.removeprefix(_MAPPED), port


def _peer_of(name: str) -> Peer:
    """From gRPC's name of a peer: ipv4:127.0.0.1:5000, or ipv6:%5B::1%5D:5000."""
    host, _, port = unquote(name).partition(":")[2].rpartition(":")
    host = host.strip("[]").removeprefix(_MAPPED)
    return host, int(port) if port.isdecimal() else 0
