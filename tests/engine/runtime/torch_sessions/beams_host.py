"""How much of a beam step is the host's, without the device's part: processor time on any machine.

`python -m tests.engine.runtime.torch_sessions.beams_host` runs 16 texts of 4 beams with PyTorch's
session on a processor, and then again without what a GPU would do: the step, the choice of tokens,
the joining and copying of beams.  What it takes to launch these on a GPU is not in it.
"""

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from engine.runtime.batching.running_batch import RunningBatch
from engine.runtime.decoding.settings import Decoding
from engine.runtime.sessions.torch import kernels
from engine.runtime.sessions.torch.lane import TorchLane
from engine.runtime.sessions.torch.session import TorchSession
from tests.engine.native.models import KINDS, write_variant
from tests.engine.runtime.torch_sessions.mixed_rows import Wish, new_row

SOURCE, STEPS, RUNS = 20, 40, 30


class Replay:
    """A lane whose device did the same steps before: what it told the host is given again."""

    def __init__(self, lane: TorchLane) -> None:
        self._bytes, self._join = lane.choices._few.bytes, lane.join
        self._told: list[Tensor] = []
        self._next = 0
        self.seconds = 0.0
        lane.join = self._record
        self._lane = lane

    def _record(self, width: int, texts: int) -> None:
        self._join(width, texts)
        self._told.append(self._bytes.clone())

    def _give(self, _width: int, _texts: int) -> None:
        began = time.thread_time()
        self._bytes.copy_(self._told[self._next])
        self._next += 1
        self.seconds += time.thread_time() - began

    def begin(self) -> None:
        """From now on nothing is computed."""
        self._next, self.seconds = 0, 0.0
        self._lane.join = self._give
        self._lane._step = self._lane.select = lambda *_: None
        kernels.copy_rows = lambda *_: None


def measure(texts: int, beams: int) -> float:
    """Microseconds of the host for a step, each the least of several runs: others compute too."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        variant = write_variant(Path(folder) / "fp32", KINDS["t5"], "fp32")
        session = TorchSession(variant.folder, variant.manifest, texts * beams, None)
    session.slots(texts * beams)
    replay = Replay(session._used)
    _run(session, texts, beams)
    taken = []
    for _ in range(RUNS):
        replay.begin()
        taken.append(_run(session, texts, beams, replay))
    return float(np.min(taken, axis=0).mean() * 1e6)


def _run(
    session: TorchSession, texts: int, beams: int, replay: Replay | None = None
) -> list[float]:
    """Processor seconds of each step, after none of which a text has ended."""
    batch = RunningBatch(session, texts * beams)
    decoding, chance = Decoding(STEPS + 1, num_beams=beams), random.Random(1)
    wishes = [
        Wish(chance.choices(range(3, 40), k=SOURCE), STEPS + 1, decoding) for _ in range(texts)
    ]
    batch.start([new_row(session, index, wish) for index, wish in enumerate(wishes)])
    batch._slots.watched[:] = True  # as usual: loops end answers
    taken = []
    for _ in range(STEPS):
        began, others = time.thread_time(), replay.seconds if replay else 0.0
        done, _ = batch.step()
        assert not done, "a text ended"
        others = (replay.seconds if replay else 0.0) - others
        taken.append(time.thread_time() - began - others)
    return taken


def main() -> None:
    """Prints it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=int, default=16)
    parser.add_argument("--beams", type=int, default=4)
    given = parser.parse_args()
    sys.stdout.write(f"{measure(given.texts, given.beams):.0f} us of the host a step\n")


if __name__ == "__main__":
    main()
