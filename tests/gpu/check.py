"""The torch session on a GPU: is it right, and how fast is it.

Prepared where this repository is set up:

    python -m tests.gpu.bundle

and run on a machine with a GPU that has Python 3.12, PyTorch, NumPy, safetensors, tokenizers and
transformers, to which the repository and `build/gpu` were copied; it needs no network, and of the
checkpoints `examples/checkpoints/en-fr` alone:

    python3 -m tests.gpu.check --device cuda --out build/gpu/out

Phases follow each other in processes of their own, each within a time of its own; all that they
find is in `result.json` at once, and what they print in `log.txt`.  What fails is noted there, and
the next phase goes on.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from importlib.machinery import PathFinder
from pathlib import Path
from typing import BinaryIO

from tests.gpu.bundle import CARRIED, PACKAGES, VARIANT, unpack
from tests.gpu.cublas import library_path
from tests.gpu.schedule import KERNELS_FILE, ON_GPU, ON_PROCESSOR
from tests.gpu.supervisor import Result, Supervisor, Worker
from tests.gpu.verdict import failures, ratios

NEEDED = ("torch", "numpy", "safetensors", "tokenizers", "transformers", "msgspec")
RESULT_FILE, LOG_FILE = "result.json", "log.txt"
_ROOT = Path(__file__).resolve().parents[2]


def missing(folders: Sequence[str] = ()) -> str:
    """What can't be imported here or from folders, in one sentence; "" if nothing is missing."""
    for name in NEEDED:
        if PathFinder.find_spec(name, [*sys.path, *folders]) is None:
            return (
                f"{name} is not installed: `pip install {name}` with a network, or name it in "
                "WHEELS of tests/gpu/bundle.py, and carry what that makes."
            )
    return ""


def arguments(given: list[str] | None) -> argparse.Namespace:
    """The options of the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=["cpu", "cuda"], required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=315.0)
    parser.add_argument("--carried", type=Path, default=CARRIED, help="what tests.gpu.bundle wrote")
    parser.add_argument("--variant", type=Path, help="what tests.gpu.variant wrote, in its stead")
    parser.add_argument("--only", nargs="+", help="names of phases, for a second look")
    return parser.parse_args(given)


class Check:
    """One run of the check; `scratch` is a folder for what nobody wants back."""

    def __init__(self, asked: argparse.Namespace, scratch: Path) -> None:
        self._asked, self._out, self._scratch = asked, asked.out.resolve(), scratch
        self._parts = scratch / "parts"
        self._parts.mkdir()
        self._out.mkdir(parents=True, exist_ok=True)
        for name in (RESULT_FILE, LOG_FILE, KERNELS_FILE):
            (self._out / name).unlink(missing_ok=True)  # of a run before
        self._variant = (asked.variant or scratch / VARIANT).resolve()
        self._path = [str(_ROOT), str(scratch / PACKAGES)]

    def prepare(self) -> str:
        """Unpacks what was carried; what is missing, in one sentence, or ""."""
        if self._asked.variant is None and self._asked.carried.exists():
            unpack(self._asked.carried, self._scratch)
        if not (self._variant / "model.json").exists():
            if named := self._asked.variant:
                return f"{named} holds no variant: run `python -m tests.gpu.variant {named}`."
            hint = "run `python -m tests.gpu.bundle` where ONNX is installed, and carry the file."
            return f"{self._asked.carried} holds no variant: {hint}"
        return missing(self._path)

    def run(self) -> Result:
        """Does all phases; the result says at last what failed, and how peers compare."""
        phases = ON_GPU
        if self._asked.device == "cpu":
            phases = [replace(one, seconds=self._asked.seconds) for one in ON_PROCESSOR]
        if self._asked.only:
            phases = [one for one in phases if one.name in self._asked.only]
        with (self._out / LOG_FILE).open("ab", buffering=0) as log:
            supervisor = Supervisor(
                lambda names: self._start(names, log), self._parts, self._asked.seconds, self._save
            )
            result = supervisor.run(phases)
        result["ratios"] = ratios(result)
        result["failures"] = failures(result)
        result["passed"] = not result["failures"]
        self._save(result)
        return result

    def _start(self, names: Sequence[str], log: BinaryIO) -> Worker:
        print(f"begins: {', '.join(names)}", flush=True)  # noqa: T201
        asked, folders = self._asked, {"variant": self._variant, "out": self._out}
        folders |= {"scratch": self._scratch, "parts": self._parts}
        command = [sys.executable, "-m", "tests.gpu.worker", "--device", asked.device]
        command += [f"--{name}={folder}" for name, folder in folders.items()]
        before = os.environ.get("PYTHONPATH", "")
        paths = {"PYTHONPATH": os.pathsep.join([*self._path, *filter(None, [before])])}
        if asked.device == "cpu":
            paths["OMP_NUM_THREADS"] = "1"  # small products, and other work beside
        if "ctranslate2" in names and asked.device == "cuda":
            paths["LD_LIBRARY_PATH"] = library_path(self._scratch / "cublas")
        return subprocess.Popen(
            [*command, *names],
            env={**os.environ, **paths, "PYTHONUNBUFFERED": "1", "HF_HUB_OFFLINE": "1"},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )

    def _save(self, result: Result) -> None:
        new = self._scratch / RESULT_FILE
        new.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        (self._out / RESULT_FILE).write_bytes(new.read_bytes())
        name, part = list(result.items())[-1]
        if isinstance(part, dict) and "seconds" in part:
            print(f"{name}: {part.get('error', 'done')} ({part['seconds']} s)", flush=True)  # noqa: T201


def main(given: list[str] | None = None) -> int:
    """Runs the check; 1 where something is missing, a phase failed, or something is not so."""
    asked = arguments(given)
    with tempfile.TemporaryDirectory() as scratch:
        check = Check(asked, Path(scratch))
        if lack := check.prepare():
            print(lack, file=sys.stderr)  # noqa: T201
            return 1
        result = check.run()
    for failure in result["failures"]:
        print(f"FAILED: {failure}", flush=True)  # noqa: T201
    print(json.dumps(result["ratios"], indent=1), flush=True)  # noqa: T201
    return int(not result["passed"])


if __name__ == "__main__":
    # Processes of phases end with it.
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    sys.exit(main())
