"""`python -m tests.sdk.fork_server FD`: forks commands, with all that they import loaded.

A datagram of the socket FD brings arguments, environment and folder as JSON, and the descriptors of
standard input, output and error; the answer is the exit code.
"""

import io
import json
import os
import runpy
import socket
import sys
from contextlib import redirect_stderr, suppress

from seqway.cli import app


def main() -> None:
    """Forks until the other end of the socket is closed."""
    load()
    with socket.socket(fileno=int(sys.argv[1])) as orders:
        while True:
            order, descriptors, _, _ = socket.recv_fds(orders, 1 << 20, 3)
            if not order:
                return
            child = os.fork()
            if not child:
                break
            for descriptor in descriptors:
                os.close(descriptor)
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            orders.send(str(code).encode())
    become(order, descriptors)


def load() -> None:
    """Has a command fail, so that what commands import late is there, too."""
    with redirect_stderr(io.StringIO()), suppress(SystemExit):
        app(["translate", "--no-such-option"], prog_name="seqway")


def become(order: bytes, descriptors: list[int]) -> None:
    """From here on this is `python -m seqway`, and it ends as that does."""
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    arguments, environment, folder = json.loads(order)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv[1:] = arguments
    runpy.run_module("seqway", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
