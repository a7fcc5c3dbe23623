"""One group: starts its ranks, listens to them, ends all when one fails, and starts them anew."""

import logging
import selectors
import signal
import tempfile
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from engine.parallel.groups.bounds import Bounds
from engine.parallel.groups.messages import (
    Message,
    RankBeat,
    RankLoaded,
    RankLost,
    RoundMade,
    RowBegun,
    RowsSaid,
    StartRank,
    StopRank,
)
from engine.parallel.groups.process import RankProcess
from engine.parallel.layout import Layout
from engine.parallel.places import GroupPlace, variables_of
from engine.runtime.batching.lane import Gauges
from engine.runtime.engine import Settings, total

logger = logging.getLogger(__name__)

_LOOK_SECONDS = 0.1
_DRAIN_SECONDS = 0.5
_ABSENT_SECONDS = 1.0
"""So much later than it wanted to, a front was stopped itself, and has not listened."""

Answer = RowBegun | RowsSaid | RoundMade


class Listener(Protocol):
    """Who is told of a group, by the group's thread."""

    def group_up(self, group: "Group", loaded: RankLoaded) -> None:
        """It takes rows from now on."""

    def group_said(self, group: "Group", answer: Answer) -> None:
        """Of the rows that it has."""

    def group_down(self, group: "Group", reason: str) -> None:
        """It is gone, with all that it had said; another one is started by itself."""


@dataclass(frozen=True)
class GroupPlan:
    """What a group runs, and where."""

    index: int
    folder: Path
    settings: Settings
    layout: Layout
    place: GroupPlace


class Group:
    """Supervises the processes of one group from a thread of its own."""

    def __init__(self, plan: GroupPlan, bounds: Bounds, listener: Listener) -> None:
        self.index = plan.index
        self.restarts = 0
        self.first_token_seconds: deque[float] = deque(maxlen=4096)
        self._plan = plan
        self._bounds = bounds
        self._listener = listener
        self._processes: list[RankProcess] = []
        self._is_loaded = False
        self._past, self._present = Gauges(), Gauges()
        self._stopping = threading.Event()
        self._stop_at = 0.0
        self._thread = threading.Thread(
            target=self._run, name=f"seqway-group-{plan.index}", daemon=True
        )

    @property
    def pids(self) -> list[int]:
        """Of its processes, the first rank first."""
        return [process.pid for process in self._processes]

    @property
    def gauges(self) -> Gauges:
        """What it and those before it have counted, at the last beat."""
        return total((self._past, self._present))

    @property
    def steps(self) -> int:
        """Those of `gauges`, at less cost."""
        return self._past.steps + self._present.steps

    def start(self) -> None:
        """Starts the thread, which starts the processes."""
        self._thread.start()

    def post(self, message: Message) -> None:
        """Sends to the first rank; what is sent to a group that is gone is dropped."""
        for process in self._processes[:1]:
            process.post(message)

    def stop(self) -> None:
        """Has it end what runs as CANCELLED; `join` waits for it."""
        self._stop_at = time.monotonic() + (self._bounds.stop if self._is_loaded else 0.0)
        self._stopping.set()
        self.post(StopRank())

    def join(self) -> None:
        """Waits until its processes are gone."""
        if self._thread.is_alive():
            self._thread.join()

    # Everything below runs in the group's thread.

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            began = time.monotonic()
            reason = self._live()
            if self._stopping.is_set():
                break
            lived = time.monotonic() - began if self._is_loaded else 0.0
            self._is_loaded = False
            logger.error("group %d is started anew: %s", self.index, reason)
            self.restarts += 1
            self._listener.group_down(self, reason)
            self._stopping.wait(self._bounds.pause_after(lived, failures))
            failures = 0 if lived >= self._bounds.lasting else failures + 1

    def _live(self) -> str:
        """Runs the processes until one of them fails; why."""
        with tempfile.TemporaryDirectory(prefix="seqway-group-") as folder:
            try:
                for rank in range(self._plan.layout.group):
                    self._processes.append(self._start_rank(rank, Path(folder) / "store"))
                return self._listen()
            except Exception as error:  # the supervision must outlive it
                logger.exception("group %d fails", self.index)
                return f"{type(error).__name__}: {error}"
            finally:
                self._end()

    def _start_rank(self, rank: int, store: Path) -> RankProcess:
        plan = self._plan
        start = StartRank(
            str(plan.folder),
            plan.settings,
            plan.layout,
            rank,
            str(store),
            plan.place.cores,
            self._bounds.beat,
        )
        return RankProcess(start, variables_of(plan.place, rank, plan.layout))

    def _end(self) -> None:
        """Kills what still runs, and reads what was said before."""
        processes = self._processes
        for process in processes:
            process.kill()
        if processes:
            self._drain(processes[0])
        self._processes = []
        for process in processes:
            process.close()
        present, self._present = self._present, Gauges()
        present.running = 0
        self._past = total((self._past, present))

    def _drain(self, process: RankProcess) -> None:
        with suppress(EOFError):
            while process.channel.has_more(_DRAIN_SECONDS):
                for message in process.channel.receive():
                    self._note(process, message, process.heard)

    def _listen(self) -> str:
        """Reads what the ranks say until one of them fails; why."""
        with selectors.DefaultSelector() as selector:
            for process in self._processes:
                selector.register(process.channel, selectors.EVENT_READ, process)
            began = looked = time.monotonic()
            while True:
                ready = selector.select(_LOOK_SECONDS)
                now = time.monotonic()
                absent = now - looked - _LOOK_SECONDS
                if absent > _ABSENT_SECONDS:
                    for process in self._processes:
                        process.excuse(absent)
                looked = now
                for key, _ in ready:
                    if reason := self._read(key.data, now):
                        return reason
                if reason := self._overdue(began, now):
                    return reason

    def _read(self, process: RankProcess, now: float) -> str:
        """Why the group can't go on; "" while it can."""
        process.heard = now
        try:
            messages = process.channel.receive()
        except EOFError:
            status = process.kill()
            return f"the process of rank {process.rank} has ended ({_described(status)})"
        for message in messages:
            if isinstance(message, RankLost):
                return message.reason
            self._note(process, message, now)
        return ""

    def _note(self, process: RankProcess, message: Message, now: float) -> None:
        if isinstance(message, RankBeat):
            process.note_beat(message.rounds, now)
            if not process.rank:
                self._present = Gauges(**message.counts)  # type: ignore[arg-type]
                self.first_token_seconds.extend(message.first_token_seconds)
        elif isinstance(message, RankLoaded):
            self._is_loaded = True
            for each in self._processes:  # loading does not count
                each.heard = each.rounded = now
            self._listener.group_up(self, message)
        elif isinstance(message, Answer):
            self._listener.group_said(self, message)

    def _overdue(self, began: float, now: float) -> str:
        """Which bound was passed; "" for none."""
        bounds = self._bounds
        if self._stopping.is_set():
            return "it was stopped" if now >= self._stop_at else ""
        if not self._is_loaded:
            is_late = now > began + bounds.load
            return f"it was not ready after {bounds.load:g} s" if is_late else ""
        for process in self._processes:
            if now > process.heard + bounds.silence:
                return f"the process of rank {process.rank} said nothing for {bounds.silence:g} s"
            if now > process.rounded + bounds.round:
                return f"a lane of rank {process.rank} did not come round for {bounds.round:g} s"
        return ""


def _described(status: int | None) -> str:
    if status is None:
        return "it can't be killed"
    if status >= 0:
        return f"status {status}"
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"
