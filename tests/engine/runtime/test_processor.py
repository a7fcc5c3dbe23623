"""What the flags of a processor say about its INT8 sums."""

from pathlib import Path

import pytest

from engine.runtime.sessions.processor import processor_flags, sums_int8_exactly

AVX2 = "fpu sse4_2 fma avx2"
SKYLAKE = f"{AVX2} avx512f avx512dq avx512bw avx512vl"


@pytest.mark.parametrize(
    ("flags", "exact"),
    [
        ("", False),
        (AVX2, False),
        (SKYLAKE, False),
        (f"{SKYLAKE} avx512_vnni", True),
        (f"{SKYLAKE} avx512_vnni avx_vnni amx_tile amx_int8", True),
        (f"{AVX2} avx_vnni", True),
        # ONNX Runtime takes its AVX-512 kernels here, which are without VNNI.
        (f"{SKYLAKE} avx_vnni", False),
    ],
)
def test_vnni_makes_the_sums_exact(flags: str, exact: bool) -> None:
    assert sums_int8_exactly(frozenset(flags.split())) is exact


def test_the_flags_are_those_of_the_kernel(tmp_path: Path) -> None:
    information = tmp_path / "cpuinfo"
    information.write_text(
        "processor\t: 0\nvmx flags\t: vnmi\nflags\t\t: fpu avx2\n\nprocessor\t: 1\nflags\t: sse\n"
    )
    assert processor_flags(information) == {"fpu", "avx2"}


def test_a_system_that_names_no_flags_has_none(tmp_path: Path) -> None:
    assert processor_flags(tmp_path / "missing") == frozenset()
    (tmp_path / "arm").write_text("processor\t: 0\nFeatures\t: fp asimd\n")
    assert processor_flags(tmp_path / "arm") == frozenset()
