"""The check of the torch session runs through on the processor, in a small form."""

import json
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.native.weights import read_weights
from tests.gpu import check
from tests.gpu.variant import in_precision, prepare


@pytest.fixture(scope="module")
def variant(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gpu") / "variant"
    prepare(folder)
    return folder


def test_the_check_passes_on_the_processor(variant: Path, tmp_path: Path) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    begin = time.monotonic()
    given = ["--device", "cpu", "--out", str(tmp_path), "--variant", str(variant)]
    code = check.main([*given, "--seconds", "240"])
    torch.set_num_threads(before)
    result = json.loads((tmp_path / check.RESULT_FILE).read_text())
    assert code == 0, result
    assert list(result) == list(check.PHASES)
    assert result["correctness"]["fp32"]["identical"] == result["correctness"]["fp32"]["texts"]
    assert result["correctness"]["fp32"]["beam_identical"] > 0
    assert result["correctness"]["fp32"]["largest_log_prob_difference"] < 1e-4
    assert result["correctness"]["bf16"]["mean_log_prob_difference"] < 0.15
    assert all(found["step_us"] > 0 for found in result["speed"]["en-fr"].values())
    assert "transformers eager" in result["peers"]
    assert time.monotonic() - begin < 240


def test_a_phase_that_fails_or_takes_too_long_is_noted_and_others_go_on(tmp_path: Path) -> None:
    def fails(part: check.Result) -> None:
        part["begun"] = True
        raise RuntimeError("out of luck")

    def hangs(_part: check.Result) -> None:
        time.sleep(60)

    def works(part: check.Result) -> None:
        part["made"] = 3

    phases = {"environment": fails, "correctness": hangs, "speed": works}
    result = check.run_phases(phases, tmp_path, seconds=2)
    assert result["environment"]["error"] == "RuntimeError: out of luck"
    assert result["environment"]["begun"]
    assert result["correctness"]["error"].startswith("OverdueError: took more than")
    assert result["speed"]["made"] == 3
    assert json.loads((tmp_path / check.RESULT_FILE).read_text()) == result


def test_what_is_missing_is_told_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--device", "cpu", "--out", str(tmp_path), "--variant", str(tmp_path)]
    assert check.main(given) == 1
    assert "holds no variant" in capsys.readouterr().err
    monkeypatch.setattr(check, "NEEDED", {"no_such_module": "`pip install it`"})
    assert check.main(given) == 1
    assert capsys.readouterr().err.startswith("no_such_module is not installed: `pip install it`")


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_other_precisions_hold_the_same_numbers(
    variant: Path, tmp_path: Path, precision: str
) -> None:
    _, halves = read_weights(variant)
    assert sum(array.nbytes for array in halves.values()) < 26e6  # little enough to be copied along
    _, others = read_weights(in_precision(variant, precision, tmp_path / precision))
    suffix = "float" if precision == "fp32" else "brain"
    name = "encoder.0.ffn.up"
    wide, made = halves[f"{name}.half"].astype(np.float32), others[f"{name}.{suffix}"]
    if precision == "bf16":
        expected = torch.from_numpy(wide).bfloat16().view(torch.int16).numpy()
        np.testing.assert_array_equal(made.view(np.int16), expected)
    else:
        np.testing.assert_array_equal(made, wide)
