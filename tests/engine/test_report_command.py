"""`seqway-models list` and `report`: what they print, and every wrong input in one sentence."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from engine.cli import app
from engine.contract.manifest import MANIFEST_FILE, read_manifest
from engine.contract.quality import ExpectedLength, QualityModel
from engine.export.confidence.samples import is_held_out
from engine.native.weights import NATIVE_FILES
from engine.runtime.sessions.tensorrt.plan import PlanManifest, write_plan
from engine.training.corpus import Pair, write_pairs


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments)], env={"COLUMNS": "80"})


def told(result: Result) -> str:
    """The one sentence on stderr."""
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == 1
    lines = result.stderr.splitlines()
    assert [line.startswith("error:") for line in lines] == [True], result.stderr
    return lines[0]


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    line = json.dumps({"source": "A small editor.", "target": "Un petit éditeur."})
    (tmp_path / "pairs.jsonl").write_text(f"{line}\n" * 3, encoding="utf-8")
    return tmp_path / "pairs.jsonl"


def test_the_variants_of_a_model_are_reported_and_of_no_other(
    tmp_path: Path, repository: Path, checkpoints: dict[str, Path], pairs: Path
) -> None:
    for name in ("marian", "marian_2"):  # the second one's name begins like a variant's of marian
        shutil.copytree(repository / "marian_fp32", tmp_path / "own" / f"{name}_fp32")
    page = tmp_path / "reports" / "marian.html"
    options = ("--checkpoint", checkpoints["marian"], "--test", pairs, "--output", page)
    result = run("report", "marian", "--model-repository", tmp_path / "own", *options)
    assert result.exit_code == 0, result.output
    assert result.stdout.count("3 of 3") == 1
    text = page.read_text(encoding="utf-8")
    assert "A small editor." in text and "Un petit éditeur." in text and text.count("<svg") == 1
    assert "marian_fp32" in text and "marian_2" not in text
    listed = run("list", "--model-repository", tmp_path / "own")
    assert listed.stdout.count("_fp32") == 2


def test_a_page_shows_what_int8_does_and_what_stays_high(
    tmp_path: Path, repository: Path, checkpoints: dict[str, Path], pairs: Path
) -> None:
    for precision in ("fp32", "int8"):
        shutil.copytree(repository / f"marian_{precision}", tmp_path / f"marian_{precision}")
    path = tmp_path / "marian_int8" / "1" / "precision.json"
    recipes = json.loads(path.read_text(encoding="utf-8"))
    recipes["decoder_step.onnx"]["not_int8"]["head"] = "INT8 would change <its> result by 50.0%"
    path.write_text(json.dumps(recipes), encoding="utf-8")
    options = ("--checkpoint", checkpoints["marian"], "--test", pairs)
    page = tmp_path / "page.html"
    result = run("report", "marian", "--model-repository", tmp_path, *options, "--output", page)
    assert result.exit_code == 0, result.output
    text = page.read_text(encoding="utf-8")
    assert text.count("<svg") == 2
    assert "INT8 would change &lt;its&gt; result by 50.0%" in text


def test_a_page_shows_how_far_estimates_can_be_trusted(tmp_path: Path, repository: Path) -> None:
    """Nothing is asked of `transformers`, so the checkpoint need not be one of its own."""
    for precision in ("fp32", "int8"):
        shutil.copytree(repository / f"marian_{precision}", tmp_path / f"marian_{precision}")
    files = tmp_path / "marian_fp32" / "1"
    model = QualityModel(1.0, ExpectedLength(1.0, 1.0), {"doubt": 1.0}, 100, 100, 0.5)
    manifest = replace(read_manifest(files), quality_model=model)
    (files / MANIFEST_FILE).write_text(manifest.to_json(), encoding="utf-8")
    every = [Pair(f"A small editor, number {n}.", f"Un petit éditeur, {n}.") for n in range(30)]
    write_pairs(tmp_path / "pairs.jsonl", every)
    page = tmp_path / "page.html"
    options = ("--checkpoint", tmp_path, "--test", tmp_path / "pairs.jsonl", "--compare", 0)
    result = run("report", "marian", "--model-repository", tmp_path, *options, "--output", page)
    assert result.exit_code == 0, result.output
    assert "confidence, Spearman" in result.stdout
    text = page.read_text(encoding="utf-8")
    held_out = sum(map(is_held_out, every))
    section = text[text.index("<h2>Confidence") : text.index("<h2>Answers")]
    assert section.count("<svg") == 1
    assert f"<tr><td>marian_fp32</td><td>{held_out}</td>" in section
    assert "answer doubled" in section and "marian_int8" not in section


def test_a_page_tells_of_plans(
    tmp_path: Path, repository: Path, checkpoints: dict[str, Path], pairs: Path
) -> None:
    shutil.copytree(repository / "marian_fp32", tmp_path / "marian_fp32")
    place = tmp_path / "marian_fp32" / "1" / "plans" / "sm_89"
    place.mkdir(parents=True)
    (place / "encoder.plan").write_bytes(bytes(1_500_000))
    counts = {"encoder.plan": {"Int8": 25, "Half": 6}}
    plan = PlanManifest("m", "int8", "tensorrt", "11.4", "8.9", {}, {}, 64, 64, 128, 128, counts)
    write_plan(plan, place)
    options = ("--checkpoint", checkpoints["marian"], "--test", pairs)
    page = tmp_path / "page.html"
    result = run("report", "marian", "--model-repository", tmp_path, *options, "--output", page)
    assert result.exit_code == 0, result.output
    text = page.read_text(encoding="utf-8")
    for cell in ("8.9", "tensorrt 11.4", "1.5", "encoder: 25 Int8, 6 Half"):
        assert f"<td>{cell}</td>" in text


@pytest.mark.parametrize("content", [b"", b"no graph", None])
def test_a_damaged_graph_is_told(
    tmp_path: Path,
    repository: Path,
    checkpoints: dict[str, Path],
    pairs: Path,
    content: bytes | None,
) -> None:
    shutil.copytree(repository / "marian_int8", tmp_path / "marian_int8")
    files = tmp_path / "marian_int8" / "1"
    for name in NATIVE_FILES:  # else nobody would open the graph
        (files / name).unlink()
    graph = files / "encoder.onnx"
    graph.write_bytes(graph.read_bytes()[:3000] if content is None else content)
    options = ("--checkpoint", checkpoints["marian"], "--test", pairs)
    result = run("report", "marian", "--model-repository", tmp_path, *options)
    last = result.stderr.splitlines()[-1]  # behind what transformers says
    assert last.startswith("error:") and "encoder.onnx is no whole ONNX graph" in last
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("name", NATIVE_FILES)
@pytest.mark.parametrize("content", [b"", b"no weights", None])
def test_damaged_weights_are_told(
    tmp_path: Path,
    repository: Path,
    checkpoints: dict[str, Path],
    pairs: Path,
    name: str,
    content: bytes | None,
) -> None:
    shutil.copytree(repository / "marian_int8", tmp_path / "marian_int8")
    file = tmp_path / "marian_int8" / "1" / name
    file.write_bytes(file.read_bytes()[:300] if content is None else content)
    options = ("--checkpoint", checkpoints["marian"], "--test", pairs)
    result = run("report", "marian", "--model-repository", tmp_path, *options)
    last = result.stderr.splitlines()[-1]
    assert last.startswith("error:") and "export the variant again" in last
    assert "Traceback" not in result.stderr


def test_a_page_that_cannot_be_written_is_told(
    tmp_path: Path, repository: Path, checkpoints: dict[str, Path], pairs: Path
) -> None:
    shutil.copytree(repository / "marian_fp32", tmp_path / "marian_fp32")
    options = ("--checkpoint", checkpoints["marian"], "--test", pairs, "--output", tmp_path)
    result = run("report", "marian", "--model-repository", tmp_path, *options)
    assert "can't be written: Is a directory" in result.stderr


@pytest.mark.parametrize("model", ["", "*", "/etc", "..", "[/red]", "marian_fp32"])
def test_a_model_that_is_not_there_is_told(repository: Path, model: str) -> None:
    result = run("report", model, "--model-repository", repository)
    assert f"has no variant of {model!r}" in told(result)


def test_a_checkpoint_that_transformers_cannot_load_is_told(
    tmp_path: Path, repository: Path, pairs: Path
) -> None:
    options = ("--checkpoint", tmp_path, "--test", pairs)
    result = run("report", "marian", "--model-repository", repository, *options)
    assert f"transformers can't answer with {tmp_path}: " in told(result)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}"])
def test_a_damaged_manifest_is_told(tmp_path: Path, content: str) -> None:
    (tmp_path / "m_fp32" / "1").mkdir(parents=True)
    (tmp_path / "m_fp32" / "1" / "manifest.json").write_text(content)
    for command in (("list",), ("report", "m")):
        result = run(*command, "--model-repository", tmp_path)
        assert "m_fp32/1 holds no variant that can be read" in told(result)


def test_a_repository_that_is_not_there_is_told(tmp_path: Path) -> None:
    assert "is not a folder" in told(run("list", "--model-repository", tmp_path / "[/red]"))
    assert "holds no variant" in run("list", "--model-repository", tmp_path).stdout
