"""The check of the torch session runs through on the processor, in a small form."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.native.layout import unpack_bytes, unpack_floats
from engine.native.weights import read_weights
from tests.gpu import check, report
from tests.gpu.bundle import PACKAGES, VARIANT, pack, unpack
from tests.gpu.cublas import library_path
from tests.gpu.schedule import FUNCTIONS, KERNELS_FILE, ON_GPU, ON_PROCESSOR
from tests.gpu.variant import in_precision, prepare
from tests.gpu.verdict import failures, ratios


@pytest.fixture(scope="module")
def variant(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gpu") / "variant"
    prepare(folder)
    return folder


def test_the_check_passes_on_the_processor(
    variant: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    given = ["--device", "cpu", "--out", str(out), "--variant", str(variant)]
    code = check.main([*given, "--seconds", "240"])
    result = json.loads((out / check.RESULT_FILE).read_text())
    assert code == 0, result["failures"]
    assert result["passed"]
    assert "correctness: done" in capsys.readouterr().out
    names = [phase.name for phase in ON_PROCESSOR]
    assert list(result)[: len(names)] == names
    correctness = result["correctness"]
    assert correctness["fp32"]["identical"] == correctness["fp32"]["texts"] > 1
    assert correctness["beams"]["identical"] > 0
    assert correctness["gates"]["int8 log-probabilities"]["passed"]
    assert result["kernels"]["unchecked"] == []
    assert result["profile"]["4"]["kernels_a_step"] > 10
    assert all(found["step_us"] > 0 for found in result["speed"]["en-fr"].values())
    assert result["saturation"]["beam 4"]["4"]["tokens_per_second"] > 0
    assert result["backend"]["gates"]["who leaves is cancelled"]["passed"]
    assert result["ratios"]["transformers_eager"]["4"] > 0
    assert (out / check.LOG_FILE).exists()
    _check_page(out, tmp_path / "docs")


def _check_page(out: Path, folder: Path) -> None:
    report.write_report(out, folder)
    page = (folder / report.PAGE).read_text(encoding="utf-8")
    assert "no measurement of a GPU" in page
    assert "| transformers_eager |" in page
    plots = ["steps-en-fr.svg", "steps-small.svg", "tokens.svg"]
    assert sorted(file.name for file in folder.glob("*.svg")) == plots
    assert all(f"({name})" in page for name in plots)
    assert "aten::" in (folder / KERNELS_FILE).read_text()


def test_every_phase_has_its_function_and_its_time() -> None:
    assert [phase.name for phase in ON_GPU] == list(FUNCTIONS)
    assert {phase.name for phase in ON_PROCESSOR} < set(FUNCTIONS)


def test_what_is_missing_is_told_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--device", "cpu", "--out", str(tmp_path / "out"), "--variant", str(tmp_path)]
    assert check.main(given) == 1
    assert capsys.readouterr().err.startswith(f"{tmp_path} holds no variant")
    (tmp_path / "model.json").touch()
    monkeypatch.setattr(check, "NEEDED", ("json", "no_such_module"))
    assert check.main(given) == 1
    assert capsys.readouterr().err.startswith("no_such_module is not installed: `pip install")


def test_what_was_carried_is_unpacked_and_found(tmp_path: Path) -> None:
    for name, file in ((VARIANT, "model.json"), (PACKAGES, "carried_module.py")):
        (tmp_path / "made" / name).mkdir(parents=True)
        (tmp_path / "made" / name / file).touch()
    pack(tmp_path / "made", tmp_path / "carried.tar.xz")
    unpack(tmp_path / "carried.tar.xz", tmp_path / "there")
    assert (tmp_path / "there" / VARIANT / "model.json").exists()
    assert check.missing([str(tmp_path / "there" / PACKAGES)]) == ""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(check, "NEEDED", ("carried_module",))
        assert check.missing() != ""
        assert check.missing([str(tmp_path / "there" / PACKAGES)]) == ""


def test_the_check_begins_without_what_is_carried() -> None:
    hidden = (
        "import sys; sys.modules |= dict.fromkeys(['msgspec', 'ctranslate2', 'numpy', 'torch'])"
    )
    subprocess.run([sys.executable, "-c", f"{hidden}; import tests.gpu.check"], check=True)


def test_failures_and_closed_gates_are_told() -> None:
    result = {
        "kernels": {"gates": {"choose": {"passed": False, "worst": 3.0}}},
        "speed": {"error": "took more than 60 s"},
        "saturation": {"greedy": {"32": {"tokens_per_second": 300.0}}},
        "ctranslate2": {"32": {"tokens_per_second": 100.0}, "seconds": 3},
    }
    expected = ["kernels: choose: {'worst': 3.0}", "speed: took more than 60 s"]
    assert failures(result) == expected
    assert ratios(result) == {"ctranslate2": {"32": 3.0}}


def test_cublas_of_cuda_13_stands_for_that_of_12(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", "/driver")
    monkeypatch.setattr("tests.gpu.cublas._cublas", lambda: None)
    assert library_path(tmp_path / "links") == "/driver"
    library = tmp_path / "lib" / "libcublas.so.13"
    monkeypatch.setattr("tests.gpu.cublas._cublas", lambda: library)
    path = library_path(tmp_path / "links")
    assert path == f"{tmp_path / 'links'}:{tmp_path / 'lib'}:/driver"
    assert (tmp_path / "links" / "libcublas.so.12").readlink() == library


@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8"])
def test_other_precisions_hold_the_same_numbers(
    variant: Path, tmp_path: Path, precision: str
) -> None:
    _, halves = read_weights(variant)
    assert sum(array.nbytes for array in halves.values()) < 26e6  # little enough to be copied along
    _, others = read_weights(in_precision(variant, precision, tmp_path / precision))
    suffix = {"fp32": "float", "bf16": "brain", "int8": "int8"}[precision]
    name = "encoder.0.ffn.up"
    wide, made = halves[f"{name}.half"].astype(np.float32), others[f"{name}.{suffix}"]
    if precision == "bf16":
        expected = torch.from_numpy(wide).bfloat16().view(torch.int16).numpy()
        np.testing.assert_array_equal(made.view(np.int16), expected)
    elif precision == "int8":
        scales = others[f"{name}.scales"]
        found = unpack_bytes(made)[: wide.shape[1]] * scales
        assert np.abs(found - unpack_floats(wide)).max() <= 0.5001 * scales.max()
    else:
        np.testing.assert_array_equal(made, wide)
