"""Graphs opened with ONNX Runtime, and what the flags of a processor say about INT8 sums."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from engine.runtime.sessions import onnx_graphs
from engine.runtime.sessions.onnx_graphs import open_graph, processor_flags, sums_int8_exactly

SCALE = np.float32(1 / 127)


def _write_product(weight: np.ndarray, path: Path) -> None:
    """y = x @ weight, both rounded to INT8 with `SCALE`, as `quantization` writes it."""
    graph = onnx.parser.parse_graph(
        f"g (float[N, {len(weight)}] x) => (float[N, {weight.shape[1]}] y) {{"
        "q = QuantizeLinear(x, scale, zero) d = DequantizeLinear(q, scale, zero)"
        "w = DequantizeLinear<axis: int = 1>(weight, scales, zeros) y = MatMul(d, w) }"
    )
    constants = {
        "scale": SCALE,
        "zero": np.array(0, np.int8),
        "weight": weight,
        "scales": np.full(weight.shape[1], SCALE),
        "zeros": np.zeros(weight.shape[1], np.int8),
    }
    graph.initializer.extend(numpy_helper.from_array(a, name) for name, a in constants.items())
    opset = helper.make_opsetid("", 24)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=11), path)


_ENTRY = "session.x64quantprecision"


@pytest.mark.parametrize("rows", [1, 8, 64])
@pytest.mark.parametrize("has_exact", [None, False])
def test_int8_products_are_exact_on_every_processor(
    tmp_path: Path, rows: int, has_exact: bool | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where pairs of products could saturate, without VNNI: all numbers are large here.

    Both with what is chosen for this processor and with what is chosen for one without VNNI.
    """
    if has_exact is not None:
        monkeypatch.setattr(onnx_graphs, "has_exact_int8", lambda: has_exact)
    random = np.random.default_rng(0)
    weight = random.integers(90, 128, (256, 128)).astype(np.int8)
    weight *= random.choice(np.array([-1, 1], np.int8), (1, 128))
    _write_product(weight, tmp_path / "product.onnx")
    session = open_graph(tmp_path / "product.onnx", 1, quantized=True)
    integers = random.integers(-127, 128, (rows, 256))
    (made,) = session.run(["y"], {"x": (integers * SCALE).astype(np.float32)})
    exact = integers @ weight.astype(np.int64)
    np.testing.assert_allclose(made / SCALE**2, exact, rtol=1e-4, atol=1e-2 * 127)


def test_unsigned_weights_are_taken_only_where_the_processor_lacks_vnni(tmp_path: Path) -> None:
    """They halve the speed of a processor that has it."""
    _write_product(np.ones((4, 4), np.int8), tmp_path / "product.onnx")
    options = open_graph(tmp_path / "product.onnx", 1, quantized=True).get_session_options()
    if sums_int8_exactly(processor_flags()):
        with pytest.raises(RuntimeError, match=_ENTRY):  # nothing was set
            options.get_session_config_entry(_ENTRY)
    else:
        assert options.get_session_config_entry(_ENTRY) == "1"


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
