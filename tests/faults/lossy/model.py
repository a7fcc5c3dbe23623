"""The backend `seqway` on a GPU that falls away: native code computes, until a test orders a loss.

The file that SEQWAY_TEST_LOSS names holds the variant that is to lose its GPU, once, at work.
"""

import os
from pathlib import Path
from typing import Any

from engine.backend.model import TritonPythonModel
from engine.runtime.sessions.native_session import NativeSession
from engine.runtime.sessions.session import DeviceLostError

__all__ = ["TritonPythonModel"]

_ORDER = Path(os.environ["SEQWAY_TEST_LOSS"])
_compute = NativeSession.run
_CALLS = 20
"""So many calls the session answers before the loss: rows run then, and others wait."""
_called = 0


def _run(session: NativeSession, *arguments: Any) -> Any:
    """What is lost stays so for all lanes of the process, as a context of CUDA's does."""
    global _called
    if _called or (_ORDER.exists() and _ORDER.read_text() == session.manifest.name):
        _called += 1
    if _called > _CALLS:
        _ORDER.unlink(missing_ok=True)
        raise DeviceLostError("this process has lost GPU 0: CUDA error: an illegal address.")
    return _compute(session, *arguments)


NativeSession.run = _run  # type: ignore[assignment, method-assign]
