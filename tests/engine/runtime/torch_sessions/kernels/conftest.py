"""Triton's language; without it tests are skipped, which under CI=true is a failure.

`make setup` puts it beside the environment's packages: where PyTorch can import it, it does, and
takes 170 MB more for that.
"""

import os
import subprocess
import sys
from importlib import invalidate_caches
from importlib.util import find_spec
from pathlib import Path

from tests.engine.native.conftest import require

ROOT = Path(__file__).parents[5]
LANGUAGE = str(ROOT / ".venv" / "language")


def require_language() -> None:
    """Skips where it is not installed; else it can be imported from now on."""
    if LANGUAGE not in sys.path:
        sys.path.append(LANGUAGE)
        invalidate_caches()
    require(find_spec("triton"), "Triton's language is not installed: run `make setup`")


def assert_interpreted(checks: Path, *options: str) -> None:
    """Has Triton's interpreter run the kernels of tests, in a process of its own."""
    require_language()
    path = os.pathsep.join([os.environ.get("PYTHONPATH", ""), LANGUAGE]).lstrip(os.pathsep)
    quiet = ("-p", "no:cacheprovider", "-p", "no:xdist")
    found = subprocess.run(
        [sys.executable, "-m", "pytest", *quiet, *options, checks],
        env=os.environ | {"TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1", "PYTHONPATH": path},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert found.returncode == 0, found.stdout + found.stderr
    assert "passed" in found.stdout
