"""What a test sees does not depend on the terminal or the shell that started it."""

import os
import signal
import zlib

import pytest

TERMINAL = {
    "CLICOLOR",
    "CLICOLOR_FORCE",
    "COLUMNS",
    "FORCE_COLOR",
    "GITHUB_ACTIONS",
    "JUPYTER_COLUMNS",
    "JUPYTER_LINES",
    "LINES",
    "NO_COLOR",
    "PY_COLORS",
    "TTY_COMPATIBLE",
    "TTY_INTERACTIVE",
}
"""Names by which Rich, Click and Typer learn of a terminal."""

KEPT = {"SEQWAY_FAULTS", "SEQWAY_REDIS_SERVER"}
"""What whoever runs the tests says to them: which faults, and over which Redis."""

# Before any product module is imported: Rich reads some of these when a console is made.
for name in [*os.environ]:
    if name in TERMINAL or (name.startswith("SEQWAY_") and name not in KEPT):
        del os.environ[name]
os.environ["TERM"] = "xterm"

# A shell starts what runs in the background with interrupts ignored, and children inherit that.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--every N` runs one test of N, the same ones each time."""
    parser.addoption("--every", type=int, default=1, help="run one test of so many")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out what `--every` does."""
    every: int = config.getoption("--every")
    chosen = [item for item in items if zlib.crc32(item.nodeid.encode()) % every == 0]
    if len(chosen) < len(items):
        left = set(items) - set(chosen)
        config.hook.pytest_deselected(items=[item for item in items if item in left])
        items[:] = chosen
