"""Big constants in files: the same graphs as in memory, and nothing left of them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from engine.export.graphs import builder, constants
from engine.export.graphs.builder import FLOAT, GraphBuilder, save_model
from engine.export.graphs.constants import largest_of, make_constant, temporary_folder, values_of
from engine.export.precision.calibration import ValueObserver
from engine.export.precision.emulation import emulated
from engine.export.precision.half_arithmetic import in_half
from engine.export.precision.half_weights import halve, restored
from engine.export.precision.quantization import quantize
from engine.export.precision.sensitivity import measure_products, round_matrix

WIDTH = 64
X = np.random.default_rng(1).normal(size=(3, WIDTH)).astype(np.float32)


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "BIG", 1000)
    monkeypatch.setattr(constants, "PART", 3000)


def _model() -> onnx.ModelProto:
    random = np.random.default_rng(0)
    builder = GraphBuilder("product")
    x = builder.input("x", FLOAT, ["B", WIDTH])
    kernel = random.normal(size=(WIDTH, WIDTH)).astype(np.float32)
    first = builder.call("MatMul", x, builder.constant("kernel", kernel.T), to="first")
    bias = builder.constant("bias", random.normal(size=WIDTH).astype(np.float32))
    other = builder.constant("other", kernel + 1)
    builder.call("Add", builder.call("MatMul", first, other, to="second"), bias, to="y")
    builder.output("y", FLOAT, ["B", WIDTH])
    return builder.build()


def _int8(model: onnx.ModelProto) -> onnx.ModelProto:
    observer = ValueObserver(model)
    observer.run({"x": X})
    return quantize(model, measure_products(model, observer.observation()))


FORMS: dict[str, Callable[[onnx.ModelProto], onnx.ModelProto]] = {
    "float": lambda model: model,
    "halved": lambda model: halve(model, TensorProto.FLOAT16),
    "restored": lambda model: restored(halve(model, TensorProto.BFLOAT16)),
    "emulated": lambda model: emulated(in_half(model, TensorProto.FLOAT16)),
    "int8": _int8,
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("limit", [1000, 1 << 30])
def test_a_graph_with_constants_in_files_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, limit: int
) -> None:
    monkeypatch.setattr(builder, "EXTERNAL_LIMIT", limit)
    (tmp_path / "scratch").mkdir()
    save_model(FORMS[form](_model()), tmp_path / "memory.onnx")
    with constants.working_in(tmp_path / "scratch"):
        made = FORMS[form](_model())
        big = [one for one in made.graph.initializer if one.data_location == TensorProto.EXTERNAL]
        assert big
        save_model(made, tmp_path / "files.onnx")
    (wanted,) = ort.InferenceSession(str(tmp_path / "memory.onnx")).run(None, {"x": X})
    (answer,) = ort.InferenceSession(str(tmp_path / "files.onnx")).run(None, {"x": X})
    np.testing.assert_array_equal(answer, wanted)


@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.BFLOAT16, TensorProto.INT8])
def test_values_come_back_as_they_were(tmp_path: Path, kind: int) -> None:
    array = np.arange(6000).reshape(60, 100).T.astype(helper.tensor_dtype_to_np_dtype(kind))
    with constants.working_in(tmp_path):
        constant = make_constant("name", array)
        assert constant.data_location == TensorProto.EXTERNAL
        assert not constant.raw_data
        np.testing.assert_array_equal(values_of(constant), array)
        doubled = make_constant("name", array, lambda part: part + part)
        np.testing.assert_array_equal(values_of(doubled), array + array)


def test_a_temporary_folder_takes_its_constants_with_it(tmp_path: Path) -> None:
    with constants.working_in(tmp_path):
        with temporary_folder() as folder:
            assert folder.parent == tmp_path
            make_constant("name", np.zeros((64, 64), np.float32))
            assert len([*folder.iterdir()]) == 1
        assert [*tmp_path.iterdir()] == []


def test_the_largest_value_is_an_absolute_one() -> None:
    assert largest_of(np.array([[-3.0, 2.0]])) == 3.0
    assert largest_of(np.zeros((0, 2))) == 0.0


def test_columns_are_rounded_alike_in_one_part_and_in_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from engine.export.precision import sensitivity

    matrix = np.random.default_rng(0).normal(size=(40, 70)).astype(np.float32)
    divisors = np.linspace(0.5, 2, 40, dtype=np.float32)
    whole = round_matrix(matrix, divisors)
    monkeypatch.setattr(sensitivity, "PART", 100)
    for one, other in zip(whole, round_matrix(matrix, divisors), strict=True):
        np.testing.assert_array_equal(one, other)
