"""Kernels compile for GPUs that are not here, with the arguments that their launchers give them."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.runtime.sessions.torch.model import TorchNorm
from engine.runtime.sessions.torch.selection.beams import BeamTable
from tests.engine.runtime.torch_sessions.kernels.conftest import require_language

CAPABILITIES = [80, 90, 120]
MOST_SHARED = 48 << 10
"""Bytes that a program has on every GPU without asking for more."""
MOST_REGISTERS = 128
"""A thread's, of which there are 65,536: so that 512 threads are resident."""
POINTERS = {
    torch.float32: "*fp32",
    torch.float16: "*fp16",
    torch.bfloat16: "*bf16",
    torch.int64: "*i64",
}

Launch = tuple[str, Any, tuple[Any, ...], dict[str, int]]
"""What is launched: where, the kernel, its arguments, and options."""


class LaunchRecorder:
    """Stands for a kernel, and keeps what it is launched with."""

    def __init__(self, name: str, kernel: Any, launches: list[Launch]) -> None:
        self._name, self._kernel, self._launches = name, kernel, launches

    def __getitem__(self, grid: tuple[int, ...]) -> Callable[..., None]:
        assert all(0 < size < 2**16 for size in grid[1:])
        return self._record

    def _record(self, *args: Any, **options: int) -> None:
        self._launches.append((self._name, self._kernel, args, options))


def launch_all() -> None:
    """Steps of models of usual sizes, and of odd ones."""
    from engine.runtime.sessions.torch.kernels import fused

    numbers = torch.ones(3, dtype=torch.int64)
    for width, dtype in ((128, torch.bfloat16), (24, torch.float32), (64, torch.float16)):
        caches = torch.zeros(2, 3, 4, 80, width, dtype=dtype)
        parts = torch.zeros(3, 3, 4, width, dtype=dtype).unbind(1)
        table = torch.zeros(4, 9) if width == 64 else None
        fused.attend_own(*parts, *caches, numbers, table)
    fused.attend(parts[0], *caches, numbers)
    fused.copy_rows(caches, numbers, numbers, 70)
    for width, dtype in ((1024, torch.bfloat16), (4096, torch.float16)):
        x, weight = torch.zeros(3, width), torch.zeros(width)
        norm = TorchNorm(weight, None if width == 1024 else weight, 1e-6, width == 1024)
        fused.residual(x, x.to(dtype), norm, pre_norm=width == 1024, dtype=dtype)
    for count in (1, 16):
        fused.select(torch.zeros(3, 250_112), count)
    for width in (8, 3, 4):
        ids, logits = torch.zeros(9, 16, dtype=torch.int64), torch.zeros(9, 16)
        beams = torch.zeros(7, 2 * width, dtype=torch.int64)
        first = beams.view(7, 2, width)[:, :, 0]
        scores, slots = torch.zeros(2, width), beams[0].view(2, width)
        table = BeamTable(slots, scores, *first[:2], first[2, :1])
        made = torch.zeros(9, 7, dtype=torch.int64), torch.zeros(9, 4)
        fused.join_beams(*made, ids, logits, logits[:, 0], torch.zeros(9, width - 3), table, 2)


@pytest.fixture
def launches(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Launch]:
    require_language()
    from engine.runtime.sessions.torch.kernels import attention, beams, moves, norm, selection

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("TRITON_DUMP_PTXAS_LOG", "1")
    found: list[Launch] = []
    with monkeypatch.context() as patch:
        for module in (attention, beams, moves, norm, selection):
            for name in [name for name in vars(module) if name.endswith("_kernel")]:
                recorder = LaunchRecorder(name, getattr(module, name), found)
                patch.setattr(module, name, recorder)
        launch_all()
    return found


def compiled(kernel: Any, args: tuple[Any, ...], options: dict[str, int], capability: int) -> Any:
    """As Triton does at a launch: 1 and None are constants, and what 16 divides is known."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    assert len(args) == len(kernel.params)
    signature, constants, attributes = {}, {}, {}
    for place, (parameter, value) in enumerate(zip(kernel.params, args, strict=True)):
        if parameter.is_constexpr or value is None or (type(value) is int and value == 1):
            signature[parameter.name], constants[place,] = "constexpr", value
            continue
        if isinstance(value, Tensor):
            signature[parameter.name], number = POINTERS[value.dtype], value.data_ptr()
        elif isinstance(value, float):
            signature[parameter.name], number = "fp32", 1
        else:
            signature[parameter.name], number = "i32" if value < 2**31 else "i64", value
        if number % 16 == 0:
            attributes[place,] = [["tt.divisibility", 16]]
    source = ASTSource(kernel, signature, constants, attributes)
    return triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)


@pytest.mark.parametrize("capability", CAPABILITIES)
def test_kernels_compile_without_spills(
    launches: list[Launch], capability: int, capfd: pytest.CaptureFixture[str]
) -> None:
    last = {launch[0]: launch for launch in launches}
    assert {*last} == {
        *("attention_kernel", "chunk_kernel", "copy_kernel", "join_kernel", "residual_kernel"),
        "row_kernel",
    }
    for name, kernel, args, options in launches if capability == 90 else last.values():
        made = compiled(kernel, args, options, capability)
        said = capfd.readouterr().out
        assert made.asm["cubin"], name
        assert made.metadata.shared <= MOST_SHARED, name
        assert "0 bytes spill stores, 0 bytes spill loads" in said, (name, said)
        [registers] = re.findall(r"Used (\d+) registers", said)
        assert int(registers) <= MOST_REGISTERS, name
