"""The command line as its users run it: in a process of its own."""

import subprocess
import sys
from pathlib import Path

COMMAND = [sys.executable, "-m", "seqway"]


def seqway(*arguments: str | Path, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*COMMAND, *arguments], input=stdin, capture_output=True, timeout=60)


def refused(*arguments: str | Path, stdin: bytes = b"", code: int = 1) -> str:
    """Stderr of a command that has to fail."""
    finished = seqway(*arguments, stdin=stdin)
    assert (finished.returncode, finished.stdout) == (code, b"")
    return finished.stderr.decode()
