"""The library that the tests run; without it they are skipped, which under CI=true is a failure."""

import os
import shutil

import pytest

from engine.native import library


def require(present: object, otherwise: str) -> None:
    """Skips where something is missing; under CI=true that is a failure."""
    if present:
        return
    if os.environ.get("CI") == "true":
        pytest.fail(otherwise)
    pytest.skip(otherwise)


@pytest.fixture(scope="session")
def backends() -> list[str]:
    """The instruction sets of this machine, the fastest first."""
    require(library.is_there(), "the native library is missing: run `make native`")
    return library.backends()


@pytest.fixture(scope="session")
def gxx() -> str:
    """The compiler whose sanitizers are used."""
    found = shutil.which("g++")
    require(found, "there is no g++")
    return str(found)
