"""The library that the tests run; without it they are skipped, which under CI=true is a failure."""

import os

import pytest

from engine.native import library


@pytest.fixture(scope="session")
def backends() -> list[str]:
    """The instruction sets of this machine, the fastest first."""
    if not library.is_there():
        otherwise = "the native library is missing: run `make native`"
        if os.environ.get("CI") == "true":
            pytest.fail(otherwise)
        pytest.skip(otherwise)
    return library.backends()
