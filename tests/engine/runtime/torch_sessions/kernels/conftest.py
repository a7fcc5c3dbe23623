"""Triton's language; without it tests are skipped, which under CI=true is a failure."""

from importlib.util import find_spec

from tests.engine.native.conftest import require


def require_language() -> None:
    """Skips where it is not installed."""
    require(find_spec("triton"), "Triton's language is not installed: run `make setup`")
