"""The Python that ranks are started with.

Triton's stub embeds Python, so `sys.executable` names the stub, or nothing.
"""

import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

_CHECK = "import sys, msgspec, numpy; print(*sys.version_info[:2])"
_CHECK_SECONDS = 60.0


class InterpreterMissingError(RuntimeError):
    """No `python3` of this process's environment was found."""


@functools.cache
def find_interpreter() -> Path:
    """A `python3` of this version that has the packages of this process's environment.

    Raises:
        InterpreterMissingError: there is none.

    """
    tried = list(dict.fromkeys(_candidates()))
    for candidate in tried:
        if _fits(candidate):
            return candidate
    version = "{}.{}".format(*sys.version_info[:2])
    places = ", ".join(map(str, tried)) or "PATH"
    raise InterpreterMissingError(
        f"no python3 of version {version} with the engine's packages was found ({places}): put the "
        "environment that Triton's Python runs in first into PATH."
    )


def _candidates() -> Iterator[Path]:
    places = [sys.prefix, os.environ.get("VIRTUAL_ENV", ""), sys.base_prefix]
    yield from (Path(place) / "bin" / "python3" for place in places if place)
    if found := shutil.which("python3"):
        yield Path(found)


def _fits(python: Path) -> bool:
    """Whether it starts, is of this version, and finds what a rank imports."""
    try:
        done = subprocess.run(
            [python, "-c", _CHECK],
            capture_output=True,
            text=True,
            timeout=_CHECK_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and done.stdout.split() == [str(n) for n in sys.version_info[:2]]
