"""Models of any size: what `save_model` writes is what ONNX Runtime reads."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from engine.export.graphs import builder
from engine.export.graphs.builder import FLOAT, GraphBuilder, check_model, save_model
from engine.export.precision.calibration import ValueObserver
from engine.export.precision.quantization import quantize
from engine.export.precision.sensitivity import measure_products

WIDTH = 600
"""A square matrix of this width is over `EXTERNAL_SIZE`."""


@pytest.fixture
def model() -> onnx.ModelProto:
    random = np.random.default_rng(0)
    builder = GraphBuilder("product")
    x = builder.input("x", FLOAT, ["B", WIDTH])
    kernel = builder.constant("kernel", random.normal(size=(WIDTH, WIDTH)).astype(np.float32))
    bias = builder.constant("bias", random.normal(size=WIDTH).astype(np.float32))
    builder.call("Add", builder.call("MatMul", x, kernel, to="product"), bias, to="y")
    builder.output("y", FLOAT, ["B", WIDTH])
    return builder.build()


def _run(path: Path, x: np.ndarray) -> np.ndarray:
    (answer,) = ort.InferenceSession(str(path)).run(None, {"x": x})
    assert isinstance(answer, np.ndarray)
    return answer


def test_a_large_model_keeps_its_big_constants_in_a_file_beside_it(
    tmp_path: Path, model: onnx.ModelProto, monkeypatch: pytest.MonkeyPatch
) -> None:
    small, large = tmp_path / "small.onnx", tmp_path / "large.onnx"
    save_model(model, small)
    monkeypatch.setattr(builder, "EXTERNAL_LIMIT", 1000)
    save_model(model, large)
    assert {path.name for path in tmp_path.iterdir()} == {
        "small.onnx",
        "large.onnx",
        "large.onnx.data",
    }
    assert large.stat().st_size < 10_000 < (tmp_path / "large.onnx.data").stat().st_size
    x = np.random.default_rng(1).normal(size=(3, WIDTH)).astype(np.float32)
    np.testing.assert_array_equal(_run(large, x), _run(small, x))


def test_a_large_model_is_observed_and_quantized_as_a_small_one(
    tmp_path: Path, model: onnx.ModelProto, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = np.random.default_rng(1).normal(size=(3, WIDTH)).astype(np.float32)
    exact = tmp_path / "exact.onnx"
    save_model(model, exact)
    monkeypatch.setattr(builder, "EXTERNAL_LIMIT", 1000)
    observer = ValueObserver(model)
    np.testing.assert_allclose(observer.run({"x": x})["y"], _run(exact, x), atol=1e-4)
    rounded = tmp_path / "rounded.onnx"
    roundings = measure_products(model, observer.observation())
    save_model(quantize(model, roundings), rounded)
    error = np.abs(_run(rounded, x) - _run(exact, x)).mean()
    assert 0 < error < 0.05 * np.abs(_run(exact, x)).mean()


def test_what_is_equal_is_written_once(tmp_path: Path) -> None:
    kernel = np.random.default_rng(0).normal(size=(WIDTH, WIDTH)).astype(np.float32) / 20
    builder = GraphBuilder("shared")
    x = builder.input("x", FLOAT, ["B", WIDTH])
    first = builder.call("MatMul", x, builder.constant("first", kernel))
    builder.call("MatMul", first, builder.constant("second", kernel), to="y")
    builder.output("y", FLOAT, ["B", WIDTH])
    save_model(builder.build(), tmp_path / "shared.onnx")
    assert kernel.nbytes == (tmp_path / "shared.onnx.data").stat().st_size
    x = np.random.default_rng(1).normal(size=(3, WIDTH)).astype(np.float32)
    np.testing.assert_allclose(_run(tmp_path / "shared.onnx", x), x @ kernel @ kernel, atol=1e-3)


def test_a_file_of_constants_goes_with_the_model_that_it_belonged_to(
    tmp_path: Path, model: onnx.ModelProto, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as small_limit:
        small_limit.setattr(builder, "EXTERNAL_LIMIT", 1000)
        save_model(model, tmp_path / "model.onnx")
    save_model(model, tmp_path / "model.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


def test_an_invalid_graph_is_refused(model: onnx.ModelProto) -> None:
    model.graph.node[0].input[1] = "nowhere"
    with pytest.raises(onnx.checker.ValidationError, match="nowhere"):
        check_model(model)
