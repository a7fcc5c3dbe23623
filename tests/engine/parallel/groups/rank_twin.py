"""A rank that breaks when a test orders it: the real one, with files as orders in a folder.

Of the orders that are `taken`, one rank obeys each; the others hold for all while they stand. Ranks
that work together share no session here: the first has the whole model, the others only wait.
"""

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from engine.parallel.groups import rank
from engine.runtime.sessions.native_session import NativeSession
from engine.runtime.sessions.onnx_session import OnnxSession
from engine.runtime.sessions.placement import open_session
from engine.runtime.sessions.session import DeviceLostError

ORDERS = "SEQWAY_TEST_ORDERS"
LOSS = "this process has lost GPU 0: CUDA error: an illegal address."
_FOLDER = Path(os.environ.get(ORDERS, "."))
_STEP_SECONDS = 0.02
_PEER_SECONDS = 20.0


def stands(order: str) -> bool:
    return (_FOLDER / order).exists()


def taken(order: str) -> bool:
    try:
        (_FOLDER / order).unlink()
    except FileNotFoundError:
        return False
    return True


def break_sessions(kind: Any) -> None:
    """Has a kind of session obey."""
    whole_run, whole_encode = kind.run, kind.encode

    def run(session: Any, slots: Any, *arguments: Any) -> Any:
        if taken("lose"):
            raise DeviceLostError(LOSS)
        if taken("stall"):
            threading.Event().wait()
        if not stands("slow"):
            return whole_run(session, slots, *arguments)
        time.sleep(_STEP_SECONDS)
        session.step(slots)
        if taken("nan"):
            slots.log_probs[0] = np.nan
        return session.advance(slots)

    def encode(session: Any, sources: list[list[int]]) -> Any:
        if stands("poison") and json.loads((_FOLDER / "poison").read_text()) in sources:
            os.kill(os.getpid(), signal.SIGKILL)
        return whole_encode(session, sources)

    kind.run, kind.encode = run, encode


def open_group_session(
    folder: Path, manifest: Any, capacity: int, layout: Any, own: int, store: Path
) -> Any:
    deadline = time.monotonic() + _PEER_SECONDS
    for peer in range(1, layout.group):
        while not store.with_name(f"rank-{peer}").exists():
            assert time.monotonic() < deadline, "a peer is missing"
            time.sleep(0.01)
    return open_session(folder, manifest, 1, capacity, None)


def follow_group(
    folder: Path, manifest: Any, capacity: int, layout: Any, own: int, store: Path
) -> None:
    store.with_name(f"rank-{own}").touch()
    threading.Event().wait()


if __name__ == "__main__":
    if stands("refuse"):
        sys.exit(3)
    twin: Any = ModuleType("engine.parallel.group_session")
    twin.open_group_session, twin.follow_group = open_group_session, follow_group
    sys.modules["engine.parallel.group_session"] = twin
    for each in (NativeSession, OnnxSession):
        break_sessions(each)
    rank.main()
