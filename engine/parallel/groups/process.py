"""One rank's process, as the front has it."""

import os
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import engine
from engine.parallel.groups.channel import RankChannel, Sender
from engine.parallel.groups.interpreter import find_interpreter
from engine.parallel.groups.messages import Message, StartRank

MODULE = "engine.parallel.groups.rank"
"""What the interpreter runs."""

_KILL_SECONDS = 5.0


class RankProcess:
    """Starts the process; it ends with the thread that has started it, should that be killed.

    `heard` is when it last said something, `rounds` how many its lanes had made then, `rounded`
    when they made the last one.
    """

    def __init__(self, start: StartRank, variables: Mapping[str, str]) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [find_interpreter(), "-m", MODULE, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env={**os.environ, **variables, "PYTHONPATH": _path()},
            )
        self.rank = start.rank
        self.channel = RankChannel(ours)
        self._sender = Sender(self.channel, f"seqway-rank-{start.rank}-sender")
        self.heard = self.rounded = time.monotonic()
        self.rounds = 0
        self.post(start)

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def post(self, message: Message) -> None:
        """Sends a message without waiting."""
        self._sender.post(message)

    def note_beat(self, rounds: int, now: float) -> None:
        """It has told so many rounds."""
        if rounds != self.rounds:
            self.rounds, self.rounded = rounds, now

    def excuse(self, seconds: float) -> None:
        """Does not count a time in which nobody could listen."""
        self.heard += seconds
        self.rounded += seconds

    def kill(self) -> int | None:
        """Ends it, stopped or not; its exit status. What it said can still be read.

        None: it is still there, as one may be that waits for a driver. It is left to itself.
        """
        self._process.kill()
        try:
            return self._process.wait(_KILL_SECONDS)
        except subprocess.TimeoutExpired:
            return None

    def close(self) -> None:
        """Once it was killed."""
        self.channel.shut()
        self._sender.close()
        self.channel.close()


def _path() -> str:
    """Where the process finds the engine that this one runs."""
    places = [str(Path(engine.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    return os.pathsep.join(filter(None, places))
