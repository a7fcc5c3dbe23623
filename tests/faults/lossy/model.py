"""The backend `seqway` on a GPU that falls away: native code computes, until a test orders a loss.

The file that SEQWAY_TEST_LOSS names holds the variant that is to lose its GPU, once, at work.
"""

import os
from pathlib import Path
from typing import Any

from engine.backend.model import TritonPythonModel
from engine.runtime.encoders.native_session import NativeEncoderSession
from engine.runtime.sessions.native_session import NativeSession
from engine.runtime.sessions.session import DeviceLostError

__all__ = ["TritonPythonModel"]

_ORDER = Path(os.environ["SEQWAY_TEST_LOSS"])
_CALLS = 20
"""So many calls a generating session answers before the loss: rows run then, and others wait."""

_generate, _read = NativeSession.run, NativeEncoderSession.run
_called = 0


def _run(session: NativeSession, *arguments: Any) -> Any:
    _count(session.manifest.name, _CALLS)
    return _generate(session, *arguments)


def _run_encoder(session: NativeEncoderSession, windows: Any) -> Any:
    _count(session.manifest.name, 0)
    return _read(session, windows)


def _count(name: str, most: int) -> None:
    """What is lost stays so for all lanes of the process, as a context of CUDA's does."""
    global _called
    if _called or (_ORDER.exists() and _ORDER.read_text() == name):
        _called += 1
    if _called > most:
        _ORDER.unlink(missing_ok=True)
        raise DeviceLostError("this process has lost GPU 0: CUDA error: an illegal address.")


NativeSession.run = _run  # type: ignore[assignment, method-assign]
NativeEncoderSession.run = _run_encoder  # type: ignore[assignment, method-assign]
