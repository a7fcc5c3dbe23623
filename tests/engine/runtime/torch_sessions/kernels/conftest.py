"""Triton's language; without it tests are skipped, which under CI=true is a failure.

`make setup` puts it beside the environment's packages: where PyTorch can import it, it does, and
takes 170 MB more for that.
"""

import os
import sys
from importlib import invalidate_caches
from importlib.util import find_spec
from pathlib import Path

from tests.engine.native.conftest import require

LANGUAGE = str(Path(__file__).parents[5] / ".venv" / "language")


def require_language() -> None:
    """Skips where it is not installed; else it can be imported from now on."""
    if LANGUAGE not in sys.path:
        sys.path.append(LANGUAGE)
        invalidate_caches()
    require(find_spec("triton"), "Triton's language is not installed: run `make setup`")


def interpreted() -> dict[str, str]:
    """The environment of a process in which its interpreter runs kernels."""
    path = os.pathsep.join([os.environ.get("PYTHONPATH", ""), LANGUAGE]).lstrip(os.pathsep)
    return os.environ | {"TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1", "PYTHONPATH": path}
