"""The engine of one variant: tokenizes, spreads rows over its lanes, and sums what they count.

Each lane is a thread with a running batch of its own; all lanes share the graphs and their weights.
Several lanes of one thread each make more of a processor than one lane of several threads, which
wait for each other after every small product; CTranslate2's `inter_threads` is the same idea.
"""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields
from pathlib import Path

from engine.contract.events import Event, Ready
from engine.contract.manifest import read_manifest
from engine.runtime.batching.lane import Gauges, Lane
from engine.runtime.batching.scheduler import TOKEN_BUDGET, Limits
from engine.runtime.intake import Intake
from engine.runtime.planner import Planner
from engine.runtime.request import Request, Row
from engine.runtime.sessions.placement import lanes_of, limits_of, open_session
from engine.runtime.sessions.session import DeviceLostError, Session
from engine.runtime.text.vocabulary import load_vocabulary

LOSS_SECONDS = 2.0
"""How long a lane may take to end its rows when the device is lost: it may wait for that."""


@dataclass(frozen=True)
class Settings:
    """How a variant is run.

    `device` is the GPU that is to run the variant, None for the processor. `lanes` 0
    means one for each core that the process may use, one on a GPU; `limits.max_rows` is for each
    lane; `threads` is the size of the thread pools that the lanes share (1: each works alone).
    `stream_rate` bounds the messages a second that all streams together send, so that many streams
    do not take the processor from the model; each stream's first text is sent at once.
    """

    lanes: int = 0
    threads: int = 1
    limits: Limits = field(default_factory=Limits)
    stream_rate: float = 500.0
    device: int | None = None


class Engine:
    """Serves the variant in `folder`; start it, and stop it when done.

    `on_lost` is called from a lane's thread when that has lost its GPU, and has ended its rows. A
    `session` that is given is run in place of the one that suits the variant and its device.
    """

    def __init__(
        self,
        folder: Path,
        settings: Settings | None = None,
        on_lost: Callable[[DeviceLostError], None] = lambda _: None,
        session: Session | None = None,
    ) -> None:
        self.settings = settings or Settings()
        self.manifest = read_manifest(folder)
        vocabulary = load_vocabulary(folder, self.manifest)
        self._on_lost = on_lost
        self._losing = threading.Lock()
        device, limits = self.settings.device, self.settings.limits
        session = session or open_session(
            folder, self.manifest, self.settings.threads, limits.max_rows, device
        )
        self._limits = limits = limits_of(session, limits)
        count = self.settings.lanes or lanes_of(session)
        rate = self.settings.stream_rate / count
        self.lanes = [
            Lane(
                session.sibling() if index else session,
                vocabulary.token_bytes,
                limits,
                rate,
                f"seqway-lane-{index}",
                self._lose,
            )
            for index in range(count)
        ]
        self.planner = Planner(self.manifest, vocabulary, session.outputs, limits.max_rows)
        self._intake = Intake(self.planner, count * limits.max_rows + limits.max_waiting)

    @property
    def slots(self) -> int:
        """The slots of all lanes."""
        return len(self.lanes) * self.settings.limits.max_rows

    @property
    def token_budget(self) -> int:
        """The tokens that all lanes hold at once."""
        return len(self.lanes) * (self._limits.token_budget or TOKEN_BUDGET)

    @property
    def refused_rows(self) -> int:
        """Rows that were refused because too many waited."""
        return self._intake.refused

    @property
    def gauges(self) -> Gauges:
        """The sums over the lanes; `take_first_token_seconds` gives the times of first tokens."""
        return total(lane.gauges for lane in self.lanes)

    @property
    def waiting_rows(self) -> int:
        """Rows that have made no step yet: in a lane's inbox, in its line or in the encoder."""
        return max(0, self._open_rows - self.gauges.running)

    @property
    def steps(self) -> int:
        """The decoder steps of all lanes, at less cost than `gauges`."""
        return sum(lane.gauges.steps for lane in self.lanes)

    def take_first_token_seconds(self) -> list[float]:
        """Seconds from arrival to the first token, of the rows since the last call."""
        taken = []
        for lane in self.lanes:
            while lane.gauges.first_token_seconds:
                taken.append(lane.gauges.first_token_seconds.popleft())
        return taken

    def start(self) -> None:
        """Starts the lanes."""
        for lane in self.lanes:
            lane.start()

    def stop(self) -> None:
        """Ends what runs as CANCELLED and waits for the lanes."""
        for lane in self.lanes:
            lane.stop()

    def submit(self, request: Request) -> None:
        """Takes a request; everything that becomes of it reaches its sink."""
        if not request.texts:
            self._probe(request)
            return
        self._intake.take(request, lambda: self._open_rows, self._spread)

    def run(self, request: Request, rows: list[Row]) -> None:
        """Takes the rows of a request that was planned, and found to have room, elsewhere."""
        request.open_rows = len(rows)
        self._spread(rows)

    def cancel(self, request_id: str) -> None:
        """Ends the rows of a request before the next step; an unknown id is ignored."""
        for lane in self.lanes:
            lane.cancel(request_id)

    @property
    def _open_rows(self) -> int:
        return sum(lane.open_rows for lane in self.lanes)

    def _probe(self, request: Request) -> None:
        """Answers `Ready` once every lane has come round: a hung lane leaves the probe open."""

        def sink(_: list[Event], last: bool) -> None:
            if last:
                request.emit([Ready()])

        rounds = Request(request.id, [], request.options, sink)
        rounds.open_rows = len(self.lanes)
        for lane in self.lanes:
            lane.probe(rounds)

    def _lose(self, error: DeviceLostError) -> None:
        """Has all lanes end their rows, since they share the device, and says so once."""
        if not self._losing.acquire(blocking=False):
            return
        for lane in self.lanes:
            lane.abandon(error, LOSS_SECONDS)
        self._on_lost(error)

    def _spread(self, rows: list[Row]) -> None:
        """Gives each row to the lane with the fewest open slots."""
        shares: dict[Lane, list[Row]] = {lane: [] for lane in self.lanes}
        for row in rows:
            lane = min(shares, key=lambda lane: lane.open_slots + _slots(shares[lane]))
            shares[lane].append(row)
        for lane, share in shares.items():
            if share:
                lane.submit(share)


def _slots(rows: list[Row]) -> int:
    return sum(row.width for row in rows)


def total(gauges: Iterable[Gauges]) -> Gauges:
    """The sums, without first-token times."""
    summed, every = Gauges(), list(gauges)
    for each in fields(Gauges):
        if each.name != "first_token_seconds":
            setattr(summed, each.name, sum(getattr(one, each.name) for one in every))
    return summed
