"""The torch session on a GPU: is it right, and how fast is it.

Prepared where this repository is set up, with ONNX:

    python -m tests.gpu.variant build/gpu/variant
    pip download msgspec --dest build/gpu/wheels --only-binary :all: --no-deps --python-version 3.12

and run on a machine with a GPU that has Python 3.12, PyTorch, NumPy, safetensors and transformers,
to which the repository and `build/gpu` were copied; it needs no network, and of the checkpoints
`examples/checkpoints/en-fr` alone:

    python3 -m pip install --no-index --find-links build/gpu/wheels msgspec
    python3 -m tests.gpu.check --device cuda --variant build/gpu/variant --out build/gpu/out

Phases follow each other, each within its share of `--seconds`; `result.json` is written after each.
What fails is noted there, and the next phase goes on.
"""

import argparse
import importlib.util
import json
import platform
import signal
import statistics
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NEEDED = {
    "torch": "`pip install torch`",
    "numpy": "`pip install numpy`",
    "safetensors": "`pip install safetensors`",
    "transformers": "`pip install transformers`",
    "msgspec": "`pip install --no-index --find-links build/gpu/wheels msgspec`",
}
RESULT_FILE = "result.json"
PHASES = {"environment": 0.05, "correctness": 0.35, "speed": 0.35, "peers": 0.25}
"""What each may take of the time."""

Result = dict[str, Any]


class OverdueError(TimeoutError):
    """A phase has had its time."""


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Raises `OverdueError` in what takes longer, as soon as Python has its say."""

    def overdue(_number: int, _frame: object) -> None:
        raise OverdueError(f"took more than {seconds:.0f} s")

    before = signal.signal(signal.SIGALRM, overdue)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def run_phases(phases: Mapping[str, Callable[[Result], None]], out: Path, seconds: float) -> Result:
    """Runs phases, which fill their part of the result step by step; one may fail."""
    result: Result = {}
    out.mkdir(parents=True, exist_ok=True)
    for name, phase in phases.items():
        begin, part = time.monotonic(), dict[str, Any]()
        result[name] = part
        try:
            with within(PHASES[name] * seconds):
                phase(part)
        except Exception as error:
            part["error"] = f"{type(error).__name__}: {error}"
            part["trace"] = traceback.format_exc().splitlines()[-6:]
        part["seconds"] = round(time.monotonic() - begin, 2)
        (out / RESULT_FILE).write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        print(f"{name}: {part.get('error', 'done')} ({part['seconds']} s)", flush=True)  # noqa: T201
    return result


def missing() -> str:
    """What can't be imported here, in one sentence; "" if nothing is missing."""
    for name, remedy in NEEDED.items():
        if importlib.util.find_spec(name) is None:
            return f"{name} is not installed: {remedy}, with a network or a folder of wheels."
    return ""


def arguments(given: list[str] | None) -> argparse.Namespace:
    """The options of the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=["cpu", "cuda"], required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=330.0)
    parser.add_argument("--variant", type=Path, default=Path("build/gpu/variant"))
    return parser.parse_args(given)


def main(given: list[str] | None = None) -> int:
    """Runs the check; 1 where something is missing or a phase failed."""
    asked = arguments(given)
    if lack := missing():
        print(lack, file=sys.stderr)  # noqa: T201
        return 1
    if not (asked.variant / "model.json").exists():
        hint = f"run `python -m tests.gpu.variant {asked.variant}` where ONNX is installed."
        print(f"{asked.variant} holds no variant: {hint}", file=sys.stderr)  # noqa: T201
        return 1
    from tests.gpu.phases import Check

    check = Check(asked.device, asked.variant)
    phases = {name: getattr(check, name) for name in PHASES}
    result = run_phases(phases, asked.out, asked.seconds)
    return int(any("error" in part for part in result.values()))


def driver() -> str:
    """What `nvidia-smi` says of card, driver and memory."""
    wanted = "--query-gpu=name,driver_version,memory.total"
    command = ["nvidia-smi", wanted, "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        return f"nvidia-smi: {error}"
    return done.stdout.strip()


def median_seconds(run: Callable[[], None], times: int) -> float:
    """Of several runs, each of which waits for what it began."""
    taken = []
    for _ in range(times):
        begin = time.perf_counter()
        run()
        taken.append(time.perf_counter() - begin)
    return statistics.median(taken)


def machine() -> dict[str, str]:
    """What runs the check."""
    return {"python": platform.python_version(), "machine": platform.platform()}


if __name__ == "__main__":
    sys.exit(main())
