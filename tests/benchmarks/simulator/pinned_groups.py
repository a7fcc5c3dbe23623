"""Groups as processes, each with an engine of one lane on a core of its own."""

import multiprocessing
import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

from engine.contract.events import End, Event
from engine.contract.options import Options
from engine.runtime.engine import Engine, Settings
from engine.runtime.request import Request
from tests.benchmarks.simulator.recorded_run import RecordedRun
from tests.benchmarks.speed.spread import percentile
from tests.gpu.shapes import WORD

_READY = "ready"
_WAIT = 60.0


class PinnedGroup:
    """The parent's end: sends texts, and notes when they were answered."""

    def __init__(self, channel: Connection) -> None:
        self._channel = channel
        self.open = 0
        self.ends: dict[int, tuple[float, int]] = {}
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def begin(self) -> None:
        """Waits until it serves."""
        if not self._channel.poll(_WAIT) or self._channel.recv() != _READY:
            raise RuntimeError("a group did not start")
        self._thread.start()

    def send(self, index: int, source: int, target: int) -> None:
        """A text of so many tokens, whose answer has as many as it is said to."""
        self.open += 1
        self._channel.send((index, source, target))

    def _listen(self) -> None:
        while True:
            try:
                index, moment, tokens = self._channel.recv()
            except (EOFError, OSError):
                return
            self.ends[index] = moment, tokens
            self.open -= 1


@contextmanager
def pinned_groups(folder: Path, count: int) -> Iterator[list[PinnedGroup]]:
    """So many groups that serve the variant, on the first cores that this process may use."""
    cores = sorted(os.sched_getaffinity(0))
    if count > len(cores):
        raise RuntimeError(f"{count} groups need as many cores, and there are {len(cores)}")
    context = multiprocessing.get_context("spawn")
    with ExitStack() as stack:
        groups = []
        for core in cores[:count]:
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(str(folder), core, theirs), daemon=True)
            process.start()
            theirs.close()
            stack.callback(process.join, _WAIT)
            stack.callback(ours.close)
            groups.append(PinnedGroup(ours))
        for group in groups:
            group.begin()
        yield groups


def measured_run(
    name: str,
    groups: Sequence[PinnedGroup],
    moments: Sequence[float],
    lengths: Sequence[tuple[int, int]],
) -> RecordedRun:
    """Texts at their moments, each to the group with the fewest open ones."""
    for group in groups:
        group.ends.clear()
    began = time.monotonic() + 0.05
    for index, (moment, (source, target)) in enumerate(zip(moments, lengths, strict=True)):
        if (wait := began + moment - time.monotonic()) > 0:
            time.sleep(wait)
        min(groups, key=lambda group: group.open).send(index, source, target)
    _wait(groups, len(moments))
    ends = {index: end for group in groups for index, end in group.ends.items()}
    latencies = [ends[index][0] - began - moment for index, moment in enumerate(moments)]
    seconds = max(moment for moment, _ in ends.values()) - began
    return RecordedRun(
        name=name,
        groups=len(groups),
        moments=list(moments),
        sources=[source for source, _ in lengths],
        targets=[ends[index][1] for index in range(len(moments))],
        seconds=seconds,
        tokens_per_second=sum(tokens for _, tokens in ends.values()) / seconds,
        p50=percentile(latencies, 50),
        p95=percentile(latencies, 95),
    )


def _wait(groups: Sequence[PinnedGroup], count: int) -> None:
    until = time.monotonic() + _WAIT
    while sum(len(group.ends) for group in groups) < count:
        if time.monotonic() > until:
            raise RuntimeError("not all texts were answered")
        time.sleep(0.01)


def _serve(folder: str, core: int, channel: Connection) -> None:
    """The process of a group."""
    os.sched_setaffinity(0, {core})
    engine = Engine(Path(folder), Settings(lanes=1))
    engine.start()
    sending = threading.Lock()
    channel.send(_READY)
    while True:
        try:
            index, source, target = channel.recv()
        except EOFError:
            return

        def sink(events: list[Event], last: bool, index: int = index) -> None:
            if last:
                end = events[-1]
                assert isinstance(end, End), end
                with sending:
                    channel.send((index, time.monotonic(), end.output_tokens))

        options = Options(max_new_tokens=target, stop_repetition=False)
        text = " ".join([WORD] * source)
        engine.submit(Request(str(index), [text], options, sink))
