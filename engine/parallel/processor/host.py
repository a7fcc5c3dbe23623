"""What a lane costs beside its model: Python that admits, ends and reports rows.

A lane calls its session for several steps, until a row ends; so with many rows most calls make one
step. Measured with a model so small that almost all of the time is the lane's.
"""

import math
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from engine.contract.events import Event
from engine.contract.options import Options
from engine.model.config import ModelConfig
from engine.parallel.capacity.roofline import PassTimes
from engine.parallel.processor.reference import write_reference
from engine.runtime.batching.lane import CALL_SECONDS, MOST_STEPS, Lane
from engine.runtime.batching.scheduler import Limits
from engine.runtime.decoding.greedy import GreedySearch
from engine.runtime.request import Request, Row, RowPlan, RowProgress
from engine.runtime.sessions.native_session import NativeSession
from engine.runtime.text.detokenizer import Detokenizer

_TINY = ModelConfig(
    vocab_size=64,
    encoder_layers=1,
    decoder_layers=1,
    encoder_heads=1,
    decoder_heads=1,
    d_model=16,
    encoder_ffn=16,
    decoder_ffn=16,
    max_positions=64,
)
_TOKENS = [b"x"] * _TINY.vocab_size
_SOURCE, _TARGET, _TOGETHER, _TIMINGS, _WAIT = 8, 16, 64, 7, 60.0


@dataclass(frozen=True)
class HostFigures:
    """Seconds of a lane for a call of its session, and for a text from its begin to its end."""

    call: float
    text: float


@dataclass(frozen=True)
class HostedTimes:
    """See `PassTimes`: with what a lane takes for texts whose answers have `target` tokens."""

    times: PassTimes
    host: HostFigures
    target: float

    def encoder_seconds(self, texts: float, source: float) -> float:
        """See `PassTimes`."""
        return self.times.encoder_seconds(texts, source) + texts * self.host.text

    def step_seconds(self, rows: float, source: float, position: float) -> float:
        """See `PassTimes`: with as many calls a step as rows end in it, one at most."""
        step = self.times.step_seconds(rows, source, position)
        ends = 1 - math.exp(-rows / self.target)
        return step + self.host.call * min(1.0, max(ends, 1 / MOST_STEPS, step / CALL_SECONDS))


def measure_host() -> HostFigures:
    """The figures of a lane on this processor.

    Raises:
        NativeMissingError: the native library was not built.

    """
    with tempfile.TemporaryDirectory(prefix="seqway-reference-") as name:
        folder = Path(name)
        manifest = write_reference(folder, _TINY, "fp32")

        session = NativeSession(folder, manifest)
        lane = Lane(session, _TOKENS, Limits(), 500.0, "seqway-reference", lambda _: None)
        lane.start()
        try:
            one = min(_answered(lane, manifest.eos_id, 1) for _ in range(_TIMINGS))
            all_texts = min(_answered(lane, manifest.eos_id, _TOGETHER) for _ in range(_TIMINGS))
        finally:
            lane.stop()
    text = max(0.0, (all_texts - one) / (_TOGETHER - 1))
    return HostFigures(max(0.0, one - text), text)


def _answered(lane: Lane, end: int, count: int) -> float:
    """The seconds until as many texts are answered that begin together."""
    done = threading.Event()

    def sink(_: list[Event], last: bool) -> None:
        if last:
            done.set()

    request = Request("reference", [], Options(stop_repetition=False), sink)
    request.open_rows = count
    began = time.monotonic()
    rows = [
        Row(
            request,
            index,
            RowPlan([2] * _SOURCE, _TARGET, arrived=began),
            GreedySearch(end),
            RowProgress(Detokenizer(_TOKENS)),
        )
        for index in range(count)
    ]
    start = time.perf_counter()
    lane.submit(rows)
    if not done.wait(_WAIT):
        raise TimeoutError(f"a lane did not answer {count} texts in {_WAIT:.0f} s")
    return time.perf_counter() - start
