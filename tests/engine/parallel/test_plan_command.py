"""`seqway-models plan` and `simulate`: what they print, and every wrong input in one sentence."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from engine.cli import app

EXAMPLE = Path(__file__).parents[3] / "examples" / "checkpoints" / "en-fr"
ENCODER = EXAMPLE.with_name("deb-section")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments)], env={"COLUMNS": "100"})


def told(result: Result) -> str:
    """The one sentence on stderr."""
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == 1
    lines = result.stderr.splitlines()
    assert [line.startswith("error:") for line in lines] == [True], result.stderr
    return lines[0]


def test_a_plan_has_all_layouts_and_says_why_one_is_best() -> None:
    options = ("--gpu", "h100", "--count", 4, "--rate", 500, "--lengths", "30:25")
    result = run("plan", EXAMPLE, *options)
    assert result.exit_code == 0, result.output
    assert "tp=1,sp=1,dp=4" in result.stdout and "tp=4,sp=1,dp=1" in result.stdout
    assert " is best: of the " in result.stdout and "assumptions" in result.stdout


def test_a_plan_as_json_has_every_field() -> None:
    result = run("plan", EXAMPLE, "--gpu", "l4", "--count", 2, "--precision", "fp16", "--json")
    found = json.loads(result.stdout)
    assert found["best"] == "tp=1,sp=1,dp=2"
    first = found["layouts"][0]
    assert first["layout"] == found["best"] and first["rows"] == 1024
    assert 0 < first["need"]["weights"] < first["need"]["own"] < 24e9


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--gpu", "b300"), "choose from h100"),
        (("--lengths", "many"), "--lengths many is neither"),
        (("--precision", "int4"), "unknown precision 'int4'"),
        (("--count", 100), "--count 100 has to be from 1 to 64"),
        (("--gpu", "cpu", "--count", 4096), "--count 4096: this machine has"),
        (("--gpu", "cpu", "--precision", "bf16"), "--precision bf16: on processors"),
    ],
)
def test_wrong_plans_are_refused(options: tuple[object, ...], said: str) -> None:
    assert said in told(run("plan", EXAMPLE, *options))


def test_what_is_no_generating_checkpoint_is_refused(tmp_path: Path) -> None:
    assert "generates no text" in told(run("plan", ENCODER))
    assert "it has no config.json" in told(run("plan", tmp_path))
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
    assert "'gpt2' is not one of" in told(run("plan", tmp_path))


def test_a_simulation_says_what_breaks_first(tmp_path: Path) -> None:
    plot = tmp_path / "load.svg"
    options = ("--layout", "tp=1,dp=4", "--pods", 2, "--gateways", 3, "--lengths", "30:25")
    more = ("--batch-share", 0.2, "--seconds", 2, "--plot", plot)
    result = run("simulate", EXAMPLE, "--rate", 1000, *options, *more)
    assert result.exit_code == 0, result.output
    assert "First would break: 2 fronts of pods" in result.stdout
    for part in ("8 groups of devices", "3 gateways", "Redis", "the store"):
        assert part in result.stdout
    assert plot.read_text(encoding="utf-8").count("<svg") == 1


def test_recorded_arrivals_are_simulated(tmp_path: Path) -> None:
    moments = tmp_path / "moments.json"
    moments.write_text(json.dumps([0.0, 0.1, 0.1, 0.4]))
    options = ("--lengths", "30:25", "--seconds", 20, "--arrivals", moments, "--json")
    found = json.loads(run("simulate", EXAMPLE, "--rate", 0, *options).stdout)
    assert found["answered"] * found["seconds"] == pytest.approx(4)
    assert 0 < found["first_p50"] < found["whole_p95"] < 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--rate", 0), "--rate has to be more than 0"),
        (("--rate", 1, "--layout", "dp=two"), "dp=two"),
        (("--rate", 1, "--layout", "tp=3"), "does not divide"),
        (("--rate", 1, "--layout", "dp=64", "--pods", 99), "at most 1024"),
        (("--rate", 1, "--gpu", "cpu", "--layout", "tp=2"), "a group is one core"),
        (("--rate", 1, "--arrivals", "missing.json"), "missing.json can't be read"),
    ],
)
def test_wrong_simulations_are_refused(options: tuple[object, ...], said: str) -> None:
    assert said in told(run("simulate", EXAMPLE, *options))
