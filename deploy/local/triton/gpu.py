"""Whether Triton runs with PyTorch on a GPU of this machine, in an environment of its own."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from deploy.images.commands import gpu_driver
from deploy.local.errors import StackError
from deploy.local.settings import StackSettings

_HEADER_FOLDER = "import sysconfig; print(sysconfig.get_paths()['include'])"
_COMPILERS = ("gcc", "clang", "cc")


def main() -> int:
    """Looks for what the environment that is named needs; 1 with a sentence when it is missing."""
    try:
        check_compiler(Path(sys.argv[1]))
    except StackError as error:
        print(f"seqway: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


def triton_environment(
    settings: StackSettings, fault: Callable[[], str] = gpu_driver.fault
) -> tuple[Path, str]:
    """The environment that Triton runs in here, and a sentence about which it is and why.

    Raises:
        StackError: it is the one for GPUs, and what compiles its kernels is missing.

    """
    gpu, processor = settings.gpu_environment, settings.triton_environment
    if reason := fault():
        return processor, f"Triton runs models on the processor ({processor.name}): {reason}"
    if not (gpu / ".installed").exists():
        reason = f"there is a GPU, and no {gpu.name} for it: run `make triton-gpu`."
        return processor, f"Triton runs models on the processor ({processor.name}): {reason}"
    check_compiler(gpu)
    return gpu, f"Triton runs models on the GPU, with PyTorch ({gpu.name})."


def check_compiler(environment: Path) -> None:
    """Looks for what Triton's language compiles the launchers of kernels with.

    Raises:
        StackError: it is missing.

    """
    python = environment / "bin" / "python3"
    told = subprocess.run(
        [python, "-c", _HEADER_FOLDER], capture_output=True, text=True, check=True
    )
    header = Path(told.stdout.strip()) / "Python.h"
    named = os.environ.get("CC")
    if not any(map(shutil.which, [named] if named else _COMPILERS)):
        raise StackError(
            "PyTorch's kernels are compiled for the GPU, and there is no C compiler: install gcc "
            "(Debian: apt install gcc libc6-dev), or name one with CC."
        )
    if not header.exists():
        raise StackError(
            f"PyTorch's kernels are compiled for the GPU, and {header} is missing: install "
            f"Python's headers (Debian: apt install lib{header.parent.name}-dev)."
        )


if __name__ == "__main__":
    sys.exit(main())
