"""The command line as its users run it: in a process of its own.

Its libraries take a second of processor time to load, so one process loads them and forks for each
command.
"""

import atexit
import json
import os
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from pathlib import Path

COMMAND = [sys.executable, "-m", "seqway"]
ROOT = Path(__file__).parents[2]
_SECONDS = 60


class ForkServer:
    """A process that runs one command at a time, and ends with this one."""

    def __init__(self) -> None:
        self._orders, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
        self._orders.settimeout(_SECONDS)
        with theirs:
            descriptor = theirs.fileno()
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.sdk.fork_server", str(descriptor)],
                cwd=ROOT,
                pass_fds=[descriptor],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )
        atexit.register(self._process.wait)
        atexit.register(self._orders.close)

    def begin(self, arguments: list[str], descriptors: tuple[int, int, int]) -> None:
        """Starts a command with this process's environment and folder."""
        order = json.dumps([arguments, dict(os.environ), str(Path.cwd())])
        socket.send_fds(self._orders, [order.encode()], descriptors)

    def wait(self) -> int:
        """The exit code of the command, which is killed if it does not end in time."""
        try:
            return int(self._orders.recv(16))
        except TimeoutError:
            os.killpg(self._process.pid, signal.SIGKILL)
            fork_server.cache_clear()
            raise


@cache
def fork_server() -> ForkServer:
    return ForkServer()


def seqway(*arguments: str | Path, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Runs a command to its end, at most a minute."""
    server = fork_server()
    given, output, errors = os.pipe(), os.pipe(), os.pipe()
    theirs = given[0], output[1], errors[1]
    with ThreadPoolExecutor(2) as pool:
        read = [pool.submit(_read_all, descriptor) for descriptor in (output[0], errors[0])]
        try:
            server.begin([*map(str, arguments)], theirs)
        finally:
            for descriptor in theirs:
                os.close(descriptor)
        with suppress(BrokenPipeError), os.fdopen(given[1], "wb") as file:  # it need not read it
            file.write(stdin)
        code = server.wait()
    said = (each.result() for each in read)
    return subprocess.CompletedProcess([*COMMAND, *arguments], code, *said)


def _read_all(descriptor: int) -> bytes:
    with os.fdopen(descriptor, "rb") as file:
        return file.read()


def refused(*arguments: str | Path, stdin: bytes = b"", code: int = 1) -> str:
    """Stderr of a command that has to fail."""
    finished = seqway(*arguments, stdin=stdin)
    assert (finished.returncode, finished.stdout) == (code, b"")
    return finished.stderr.decode()
