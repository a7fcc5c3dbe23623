"""The process of one rank: `python3 -m engine.parallel.groups.rank SOCKET`.

The first rank of a group has an engine, which runs what the front sends; the others follow its
session. None outlives the front.
"""

import ctypes
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

from engine.backend import logs
from engine.backend.loss import EXIT_CODE
from engine.contract.events import Event
from engine.contract.manifest import Manifest, read_manifest
from engine.contract.options import Options, parse_options
from engine.parallel.groups.channel import RankChannel
from engine.parallel.groups.messages import (
    AskRound,
    CancelRows,
    Command,
    RankBeat,
    RankLoaded,
    RankLost,
    RoundMade,
    RowBegun,
    RowsSaid,
    StartRank,
    StopRank,
    TakeRows,
)
from engine.runtime.batching.lane import Gauges
from engine.runtime.engine import Engine
from engine.runtime.request import Request
from engine.runtime.sessions.placement import importing_torch
from engine.runtime.sessions.session import DeviceLostError

logger = logging.getLogger(__name__)

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Serves until the front says so, or is gone."""
    # Whoever ends a whole process group means the front, which ends its ranks in order.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    connected = int(sys.argv[1])
    os.set_inheritable(connected, False)
    channel = RankChannel(socket.socket(fileno=connected))
    commands = _receive(channel)
    start, *others = commands
    assert isinstance(start, StartRank)
    if start.cores:
        os.sched_setaffinity(0, start.cores)
    manifest = read_manifest(Path(start.folder))
    logs.configure(manifest.name)
    try:
        if start.rank:
            _follow(channel, start, manifest)
        else:
            Server(channel, start, manifest).serve(others)
    except Exception as error:
        logger.exception("rank %d ends", start.rank)
        _end(channel, f"{type(error).__name__}: {error}")
    os._exit(0)


def _follow(channel: RankChannel, start: StartRank, manifest: Manifest) -> None:
    """Does what the first rank of the group has it do, until that ends."""
    threading.Thread(target=_leave_with_front, args=(channel,), daemon=True).start()
    beat = threading.Thread(target=_beat_alone, args=(channel, start.beat), daemon=True)
    beat.start()
    try:
        _shared("follow_group", start, manifest)
    except DeviceLostError as error:
        _end(channel, str(error))


def _shared(name: str, start: StartRank, manifest: Manifest) -> Any:
    """Calls what ranks do together, which needs PyTorch."""
    folder, capacity = Path(start.folder), start.settings.limits.max_rows
    with importing_torch(folder):
        from engine.parallel import group_session
    part = getattr(group_session, name)
    return part(folder, manifest, capacity, start.layout, start.rank, Path(start.store))


def _leave_with_front(channel: RankChannel) -> None:
    while True:
        _receive(channel)


def _beat_alone(channel: RankChannel, seconds: float) -> None:
    """The beats of a rank without lanes: what its peers wait for, theirs show."""
    rounds, never = 0, threading.Event()
    while not never.wait(seconds):
        rounds += 1
        channel.send(RankBeat(rounds, {}, []))


class Server:
    """The engine of a group, and what the front is told of it."""

    def __init__(self, channel: RankChannel, start: StartRank, manifest: Manifest) -> None:
        self._channel = channel
        self._beat_seconds = start.beat
        self._rounds = 0
        folder, settings, session = Path(start.folder), start.settings, None
        if start.layout.group > 1:
            session = _shared("open_group_session", start, manifest)
        self._engine = Engine(folder, settings, self._lose, session)

    def serve(self, commands: list[Command]) -> None:
        """Does `commands`, then what follows them, until it is told to stop."""
        engine = self._engine
        engine.start()
        self._channel.send(RankLoaded(engine.planner.outputs, engine.slots, engine.token_budget))
        threading.Thread(target=self._beat, daemon=True, name="seqway-beat").start()
        while True:
            for command in commands:
                if isinstance(command, StopRank):
                    engine.stop()
                    return
                self._do(command)
            commands = _receive(self._channel)

    def _do(self, command: Command) -> None:
        if isinstance(command, TakeRows):
            self._take(command)
        elif isinstance(command, CancelRows):
            self._engine.cancel(str(command.number))
        elif isinstance(command, AskRound):
            made = RoundMade(command.number)
            self._ask_lanes(lambda: self._channel.send(made))

    def _take(self, command: TakeRows) -> None:
        number = command.number

        def sink(events: list[Event], _: bool) -> None:
            if events:
                self._channel.send(RowsSaid(number, events))

        def begun(index: int) -> None:
            self._channel.send(RowBegun(number, index))

        request = Request(str(number), [], parse_options(command.options), sink, begun)
        planner = self._engine.planner
        self._engine.run(
            request, [planner.row(request, index, plan) for index, plan in command.rows]
        )

    def _ask_lanes(self, then: Callable[[], None]) -> None:
        """Calls `then` once every lane has come round."""
        self._engine.submit(Request("", [], Options(), lambda _, last: then() if last else None))

    def _beat(self) -> None:
        """Tells that the process lives; and lanes that hang make no round."""
        asked, never = 0, threading.Event()
        while not never.wait(self._beat_seconds):
            if asked == self._rounds:
                asked += 1
                self._ask_lanes(self._note_round)
            gauges = self._engine.gauges
            counts = {
                each.name: getattr(gauges, each.name)
                for each in fields(Gauges)
                if each.name != "first_token_seconds"
            }
            first = self._engine.take_first_token_seconds()
            self._channel.send(RankBeat(self._rounds, counts, first))

    def _note_round(self) -> None:
        self._rounds += 1

    def _lose(self, error: DeviceLostError) -> None:
        _end(self._channel, str(error))


def _receive(channel: RankChannel) -> list[Command]:
    """The front's next commands; without a front there is nothing to do any more."""
    while True:
        try:
            messages = channel.receive()
        except EOFError:
            os._exit(0)
        if messages:
            return [message for message in messages if isinstance(message, Command)]


def _end(channel: RankChannel, reason: str) -> None:
    """Ends without waiting for anything: what would be waited for may be the GPU."""
    try:
        channel.send(RankLost(reason))
    finally:
        os._exit(EXIT_CODE)


if __name__ == "__main__":
    main()
