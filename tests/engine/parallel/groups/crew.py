"""Groups that tests break, and what their callers must get all the same."""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.contract.events import Delta, End, Event
from engine.parallel.groups.bounds import Bounds
from engine.parallel.groups.engine import GroupedEngine
from engine.parallel.layout import Layout
from engine.runtime.batching.scheduler import Limits
from engine.runtime.engine import Settings
from tests.engine.caller import SECONDS, Caller

BOUNDS = Bounds(
    beat=0.05, silence=1.5, round=3.0, load=60.0, comeback=30.0, pause=0.05, longest_pause=0.05
)
SETTINGS = Settings(lanes=1, limits=Limits(max_rows=8, max_waiting=60), stream_rate=1e6)


@dataclass
class Crew:
    """A running engine of groups, and the folder in which its ranks find orders."""

    engine: GroupedEngine
    orders: Path

    def order(self, name: str, content: str = "") -> None:
        (self.orders / name).write_text(content)

    def withdraw_all(self) -> None:
        for order in self.orders.iterdir():
            order.unlink()

    def hurt(self, group: int, rank: int = 0, with_signal: int = signal.SIGKILL) -> None:
        os.kill(self.engine.groups[group].pids[rank], with_signal)

    def send(self, texts: list[str], name: str = "call", **options: Any) -> Caller:
        return Caller(self.engine).send(texts, name, **options)

    def wait_for_restarts(self, count: int) -> None:
        """Until groups were started anew so often in all, and all live."""
        wait_until(
            lambda: (
                self.engine.restarts >= count and self.engine.live_groups == len(self.engine.groups)
            )
        )


def open_crew(
    folder: Path, orders: Path, layout: str, bounds: Bounds = BOUNDS, **others: Any
) -> Crew:
    engine = GroupedEngine(folder, SETTINGS, Layout.parse(layout), bounds=bounds, **others)
    engine.start()
    return Crew(engine, orders)


def wait_until(probe: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not probe():
        assert time.monotonic() < deadline, "still not so"
        time.sleep(0.01)


def answers(events: list[Event]) -> dict[int, tuple[Any, ...]]:
    """What callers get of each text, with the text of all events; each ends once."""
    texts: dict[int, str] = {}
    ends: dict[int, End] = {}
    for event in events:
        assert isinstance(event, Delta | End)
        assert event.index not in ends, "something comes after the end"
        texts[event.index] = texts.get(event.index, "") + event.text
        if isinstance(event, End):
            ends[event.index] = event
    return {
        index: (
            texts[index],
            end.finish_reason,
            end.message,
            end.token_ids,
            round(end.log_prob, 2),
            [one.text for one in end.alternatives],
            [link[:4] for link in end.alignment],
        )
        for index, end in ends.items()
    }
