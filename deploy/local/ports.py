"""Ports of this machine."""

import errno
import random
import socket
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from deploy.local.errors import StackError

HOST = "127.0.0.1"
_OUTGOING = Path("/proc/sys/net/ipv4/ip_local_port_range")
_LOWEST = 15_000
_POLL_SECONDS = 0.05
# Of its own: with `random`, which programs seed, two of them could choose the same ports each time.
_CHANCE = random.SystemRandom()


@dataclass(frozen=True, slots=True)
class Port:
    """A port that a service listens on, and the variable that sets another one."""

    purpose: str
    number: int
    variable: str


def check_free(port: Port, seconds: float = 0.0) -> None:
    """Raises `StackError`, naming port and variable, when the port can't be listened on.

    One in use may become free within `seconds`: the kernel closes the sockets of a killed process
    a moment after it looks dead, as its threads end one by one.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            _bind(port.number)
            return
        except OSError as error:
            if error.errno == errno.EADDRINUSE and time.monotonic() < deadline:
                time.sleep(_POLL_SECONDS)
                continue
            if error.errno == errno.EADDRINUSE:
                raise StackError(
                    f"Port {port.number} ({port.purpose}) is in use by another program: "
                    f"stop that, or set {port.variable} to a free port."
                ) from None
            raise StackError(
                f"Port {port.number} ({port.purpose}) can't be used ({error.strerror}): "
                f"set {port.variable} to another one."
            ) from None


def _bind(number: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((HOST, number))


def free_ports(count: int) -> list[int]:
    """Different ports that were free a moment ago.

    None is of those that the kernel gives to outgoing connections: one of these could take the port
    of a server that is restarted.
    """
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        return [_bind_anywhere(one) for one in sockets]


def _bind_anywhere(one: socket.socket) -> int:
    ports = _listening()
    for port in _CHANCE.sample(ports, len(ports)):
        try:
            one.bind((HOST, port))
        except OSError:
            continue
        return port
    one.bind((HOST, 0))
    return int(one.getsockname()[1])


def _listening() -> range:
    """The ports below those of outgoing connections, where there is room for that."""
    try:
        lowest = int(_OUTGOING.read_text(encoding="ascii").split()[0])
    except (OSError, ValueError):
        lowest = 32_768
    return range(min(_LOWEST, lowest), lowest)
