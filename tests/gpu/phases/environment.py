"""What runs the check, and what copies and products reach there."""

import platform
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version

import torch

from engine.runtime.sessions.torch.device import TorchDevice
from tests.gpu.part import Part
from tests.gpu.phases.bench import Bench, median_seconds

_PACKAGES = ("torch", "triton", "transformers", "numpy", "ctranslate2")


def environment(bench: Bench, part: Part) -> None:
    """Date, card, driver, versions, memory; bytes a second of a copy, FLOP/s of a product."""
    part["date"] = datetime.now(UTC).isoformat(timespec="seconds")
    part["device"] = bench.device.type
    part |= {"python": platform.python_version(), "machine": platform.platform()}
    part["packages"] = {name: _version(name) for name in _PACKAGES}
    part["cuda"] = torch.version.cuda
    part.save()
    if not bench.is_cuda:
        return
    part["driver"] = _driver()
    TorchDevice(0)  # or one sentence that says why not
    part["card"] = torch.cuda.get_device_name(0)
    part["capability"] = list(torch.cuda.get_device_capability(0))
    part["free_bytes"], part["total_bytes"] = torch.cuda.mem_get_info(0)
    part.save()
    many = torch.randn(1 << 28, dtype=torch.float16, device=bench.device)
    other, square = torch.empty_like(many), many.view(16_384, 16_384)
    part["copy_bytes_per_second"] = 2 * many.nbytes / _median(lambda: other.copy_(many))
    part["product_flops"] = 2 * 16_384**3 / _median(lambda: square @ square)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _driver() -> str:
    """What `nvidia-smi` says of card, driver and memory."""
    wanted = "--query-gpu=name,driver_version,memory.total"
    command = ["nvidia-smi", wanted, "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        return f"nvidia-smi: {error}"
    return done.stdout.strip()


def _median(run: Callable[[], object]) -> float:
    def once() -> None:
        run()
        torch.cuda.synchronize()

    once()
    return median_seconds(once, 5)
