"""Ports of this machine."""

import errno
import socket
from contextlib import ExitStack
from dataclasses import dataclass

from deploy.local.errors import StackError

HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Port:
    """A port that a service listens on, and the variable that sets another one."""

    purpose: str
    number: int
    variable: str


def check_free(port: Port) -> None:
    """Raises `StackError`, naming port and variable, when the port can't be listened on."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port.number))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise StackError(
                    f"Port {port.number} ({port.purpose}) is in use by another program: "
                    f"stop that, or set {port.variable} to a free port."
                ) from None
            raise StackError(
                f"Port {port.number} ({port.purpose}) can't be used ({error.strerror}): "
                f"set {port.variable} to another one."
            ) from None


def free_ports(count: int) -> list[int]:
    """Different ports that were free a moment ago."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind((HOST, 0))
        return [one.getsockname()[1] for one in sockets]
