"""The engine of a variant on several devices: one front for callers, groups of ranks behind it.

It has the interface of `engine.runtime.engine.Engine`. Callers' threads plan rows and hand them
over; each group's thread relays what its ranks say; the watch looks for rows that no group will
end.
"""

import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from engine.contract.manifest import read_manifest
from engine.parallel.groups.bounds import Bounds
from engine.parallel.groups.group import Answer, Group, GroupPlan
from engine.parallel.groups.interpreter import find_interpreter
from engine.parallel.groups.ledger import GroupLoad, Ledger
from engine.parallel.groups.messages import AskRound, Message, RankLoaded, RoundMade
from engine.parallel.groups.probes import Probes, tell_ready
from engine.parallel.groups.relay import Relay, tell
from engine.parallel.layout import Layout
from engine.parallel.places import count_gpus, places_of
from engine.runtime.batching.lane import Gauges
from engine.runtime.engine import Settings, total
from engine.runtime.intake import Intake
from engine.runtime.planner import Planner
from engine.runtime.request import Request
from engine.runtime.sessions.session import DeviceLostError
from engine.runtime.text.vocabulary import load_vocabulary

_WATCH_SECONDS = 0.05


class GroupStartError(RuntimeError):
    """A group can't be started, so that the variant can't be loaded; the message says why."""


class GroupedEngine:
    """Serves the variant in `folder` with the groups of `layout`; start it, and stop it when done.

    `settings` are those of each group, but for `max_waiting` and `stream_rate`, which hold for all
    together; with a `device` the groups run on GPUs, whose numbers the layout gives. `on_lost` is
    called when no group has lived for `bounds.comeback`, and all rows were ended.

    Raises:
        LayoutError: this machine has too few GPUs or cores.

    """

    def __init__(
        self,
        folder: Path,
        settings: Settings,
        layout: Layout,
        on_lost: Callable[[DeviceLostError], None] = lambda _: None,
        bounds: Bounds | None = None,
    ) -> None:
        self.settings = settings
        self.manifest = read_manifest(folder)
        self._bounds = bounds or Bounds()
        self._vocabulary = load_vocabulary(folder, self.manifest)
        self._on_lost = on_lost
        gpus = count_gpus() if settings.device is not None else 0
        places = places_of(layout, sorted(os.sched_getaffinity(0)), gpus)
        each = replace(
            settings,
            stream_rate=settings.stream_rate / layout.data,
            device=0 if gpus else None,
            lanes=1 if layout.group > 1 else settings.lanes,
        )
        self._groups = [
            Group(GroupPlan(index, folder, each, layout, place), self._bounds, self)
            for index, place in enumerate(places)
        ]
        self._lock = threading.Lock()
        self._ledger = Ledger(self._bounds)
        self._relay = Relay(self._ledger, self._lock, self._post)
        self._probes = Probes()
        self._loaded: dict[int, RankLoaded] = {}
        self._intake: Intake | None = None
        self._started = threading.Condition(self._lock)
        self._failure = ""
        self._none_since = time.monotonic()
        self._stopping = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="seqway-front", daemon=True)

    @property
    def groups(self) -> list[Group]:
        """All, whether they live or not."""
        return self._groups

    @property
    def live_groups(self) -> int:
        """How many take rows."""
        return len(self._ledger.loads)

    @property
    def restarts(self) -> int:
        """How often a group was started anew."""
        return sum(group.restarts for group in self._groups)

    @property
    def rerun_rows(self) -> int:
        """Rows that were run again, because their group had ended."""
        return self._relay.rerun_rows

    @property
    def slots(self) -> int:
        """The slots of the groups that live."""
        return sum(self._loaded[group].slots for group in list(self._ledger.loads))

    @property
    def gauges(self) -> Gauges:
        """The sums over the groups, at their last beats."""
        return total(group.gauges for group in self._groups)

    @property
    def waiting_rows(self) -> int:
        """Rows that have made no step yet, in a group or in the front."""
        return max(0, self._ledger.open_rows - self.gauges.running)

    @property
    def steps(self) -> int:
        """The decoder steps of all groups, at their last beats."""
        return sum(group.steps for group in self._groups)

    @property
    def refused_rows(self) -> int:
        """Rows that were refused because too many waited."""
        return self._intake.refused if self._intake else 0

    def take_first_token_seconds(self) -> list[float]:
        """Seconds from arrival to the first token, of the rows since the last call."""
        taken = []
        for group in self._groups:
            while group.first_token_seconds:
                taken.append(group.first_token_seconds.popleft())
        return taken

    def start(self) -> None:
        """Starts all groups, and waits until they take rows.

        Raises:
            GroupStartError: one of them can't be started; none is left running then.
            InterpreterMissingError: there is no Python to start them with.

        """
        find_interpreter()
        for group in self._groups:
            group.start()
        with self._started:
            self._started.wait_for(lambda: self._failure or self._is_complete, self._bounds.load)
            failure = self._failure
            if not failure and not self._is_complete:
                failure = f"it was not ready after {self._bounds.load:.0f} s"
            if not failure:
                self._open_intake()
        if failure:
            self._stop_groups()
            raise GroupStartError(f"a group of the variant can't be started: {failure}")
        self._watcher.start()

    def stop(self) -> None:
        """Ends what runs as CANCELLED and waits for the groups."""
        self._stop_groups()
        if self._watcher.is_alive():
            self._watcher.join()
        self._relay.end_all(len(self._groups), "the engine was stopped")

    def submit(self, request: Request) -> None:
        """Takes a request; everything that becomes of it reaches its sink."""
        if not request.texts:
            self._probe(request)
        else:
            assert self._intake, "it was not started"
            self._intake.take(request, lambda: self._ledger.open_rows, self._relay.route)

    def cancel(self, request_id: str) -> None:
        """Ends the rows of a request before the next step; an unknown id is ignored."""
        self._relay.cancel(request_id)

    @property
    def _is_complete(self) -> bool:
        return len(self._ledger.loads) == len(self._groups)

    def _open_intake(self) -> None:
        loaded = list(self._loaded.values())
        outputs = frozenset.intersection(*(each.outputs for each in loaded))
        limits = self.settings.limits
        self._intake = Intake(
            Planner(self.manifest, self._vocabulary, outputs, limits.max_rows),
            sum(each.slots for each in loaded) + limits.max_waiting,
        )

    def _post(self, group: int, message: Message) -> None:
        self._groups[group].post(message)

    def _probe(self, request: Request) -> None:
        """Answers `Ready` once every group that lives has come round, and one does live."""
        with self._lock:
            live = set(self._ledger.loads)
            if not live:
                self._probes.unasked.append(request)
                return
            number = self._probes.ask(request, live)
            for group in live:
                self._post(group, AskRound(number))

    # What groups tell, in their threads.

    def group_up(self, group: Group, loaded: RankLoaded) -> None:
        """Gives it what waits."""
        with self._started:
            self._loaded[group.index] = loaded
            self._ledger.loads[group.index] = GroupLoad(loaded.token_budget)
            self._relay.place_waiting()
            probing, self._probes.unasked = self._probes.unasked, []
            self._started.notify_all()
        for request in probing:
            self._probe(request)

    def group_said(self, group: Group, answer: Answer) -> None:
        """Passes it on."""
        if not isinstance(answer, RoundMade):
            self._relay.note(answer)
            return
        with self._lock:
            ready = self._probes.note_round(group.index, answer.number)
        tell_ready(ready)

    def group_down(self, group: Group, reason: str) -> None:
        """Has its rows run again."""
        with self._started:
            if self._intake is None:
                self._failure = self._failure or reason
                self._started.notify_all()
            if set(self._ledger.loads) == {group.index}:
                self._none_since = time.monotonic()
            ended = self._relay.lose(group.index)
            ready = self._probes.lose(group.index, has_groups=bool(self._ledger.loads))
        tell(ended)
        tell_ready(ready)

    # The watch, in a thread of its own.

    def _watch(self) -> None:
        while not self._stopping.wait(_WATCH_SECONDS):
            self._relay.end_late()
            with self._lock:
                last = self._none_since + self._bounds.comeback
                is_over = not self._ledger.loads and time.monotonic() > last
            if is_over:
                self._give_up()
                return

    def _give_up(self) -> None:
        """Gives callers their rows back, for another process to run."""
        error = DeviceLostError(
            f"no group of {self.manifest.name} has lived for {self._bounds.comeback:g} s: see the "
            "log for why each of them ended."
        )
        self._relay.end_all(len(self._groups), str(error))
        self._on_lost(error)

    def _stop_groups(self) -> None:
        self._stopping.set()
        self._relay.is_stopping = True
        for group in self._groups:
            group.stop()
        for group in self._groups:
            group.join()
