"""A saturated engine: tokens a second with so many texts in flight, greedy and with 4 beams."""

import queue
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from unittest.mock import patch

import torch

from engine.contract.events import End, Event
from engine.contract.manifest import MANIFEST_FILE, Manifest
from engine.contract.options import Options
from engine.runtime import engine as engine_module
from engine.runtime.batching.scheduler import Limits
from engine.runtime.engine import Engine, Settings
from engine.runtime.request import Request
from engine.runtime.sessions.torch.device import TorchDevice
from engine.runtime.sessions.torch.session import TorchSession
from tests.gpu.part import Part
from tests.gpu.phases.bench import Bench
from tests.gpu.shapes import WORD, manifest_of, random_model, write_tokenizer

_BEAMS = (1, 4)
_PATIENCE = 60.0


@dataclass(frozen=True)
class Saturated:
    """What an engine made of texts that were all there, `calls` of its session in `steps`."""

    texts: int
    tokens: int
    seconds: float
    tokens_per_second: float
    steps: int
    calls: int
    host_us_a_call: float


def saturation(bench: Bench, part: Part) -> None:
    """Marian base with random weights, texts of 32 tokens and answers of as many."""
    size, text = bench.size, " ".join([WORD] * bench.size.tokens)
    with engine_of(bench, max(size.in_flight)) as engine:
        part["lanes"], part["max_rows"] = len(engine.lanes), engine.settings.limits.max_rows
        for beams in _BEAMS:
            options = Options(
                max_new_tokens=size.tokens, num_beams=beams, stop_repetition=False, stream=False
            )
            found = part["greedy" if beams == 1 else f"beam {beams}"] = {}
            for in_flight in size.in_flight:
                saturate(engine, text, options, min(in_flight, 64), 0.0)  # warms up
                found[str(in_flight)] = asdict(
                    saturate(engine, text, options, in_flight, size.seconds)
                )
                part.save()


def saturate(
    engine: Engine, text: str, options: Options, in_flight: int, seconds: float
) -> Saturated:
    """Has so many texts in flight, and no new ones once the time is up; waits for all."""
    inbox: queue.SimpleQueue[list[Event]] = queue.SimpleQueue()

    def submit(index: int) -> None:
        events: list[Event] = []

        def sink(some: list[Event], last: bool) -> None:
            events.extend(some)
            if last:
                inbox.put(events)

        engine.submit(Request(f"saturate-{index}", [text], options, sink))

    before, begin = engine.gauges, time.monotonic()
    for index in range(in_flight):
        submit(index)
    sent, done, tokens = in_flight, 0, 0
    while done < sent:
        tokens += _tokens(inbox.get(timeout=_PATIENCE), options)
        done += 1
        if time.monotonic() < begin + seconds:
            submit(sent)
            sent += 1
    taken, after = time.monotonic() - begin, engine.gauges
    steps, calls = after.steps - before.steps, after.calls - before.calls
    host = (after.host_seconds - before.host_seconds) / max(1, calls)
    return Saturated(done, tokens, taken, tokens / taken, steps, calls, host * 1e6)


def _tokens(events: list[Event], options: Options) -> int:
    end = events[-1]
    if not isinstance(end, End) or end.message:
        raise RuntimeError(f"a text could not be run: {end}")
    if end.output_tokens != options.max_new_tokens:
        raise RuntimeError(f"an answer has {end.output_tokens} tokens")
    return end.output_tokens


@contextmanager
def engine_of(bench: Bench, rows: int) -> Iterator[Engine]:
    """A running engine with random weights, which are on the device already."""
    size, place = bench.size, TorchDevice(bench.index)
    dtype = torch.float16 if bench.is_cuda else torch.float32
    with place.use():
        model = random_model(size.shape, place.device, dtype, size.longest)
    place.wait()
    manifest = manifest_of(size.shape, size.longest)
    session = TorchSession.over(model, manifest, rows, place, 0)
    limits = Limits(rows, token_budget=1 << 22, max_waiting=1 << 13, encoder_tokens=1 << 15)
    folder = _folder(bench, manifest)
    with patch.object(engine_module, "open_session", return_value=session):
        engine = Engine(folder, Settings(1, limits=limits, device=bench.index))
    engine.start()
    try:
        yield engine
    finally:
        engine.stop()


def _folder(bench: Bench, manifest: Manifest) -> Path:
    """What an engine reads beside weights: words for tokens, and the manifest."""
    folder = bench.scratch / "random"
    folder.mkdir(exist_ok=True)
    (folder / MANIFEST_FILE).write_text(manifest.to_json(), encoding="utf-8")
    write_tokenizer(folder, manifest.vocab_size)
    return folder
