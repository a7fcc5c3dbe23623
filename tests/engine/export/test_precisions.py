"""What each precision does to checkpoints that were doctored so that it would break."""

import json
import re
import shutil
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto
from safetensors.numpy import load_file, save_file

from engine.contract.manifest import Task, read_manifest
from engine.contract.options import Options
from engine.export.exporter import ExportJob, export
from engine.export.gates.transformer import GateError, NotFiniteError
from engine.export.precision import fallback, recipes
from engine.export.precision.calibration import Observation, Seen, open_model
from engine.export.precision.emulation import emulated
from engine.export.precision.half_arithmetic import in_half, value_types
from engine.export.precision.recipes import FP16_MAX, FP16_NORMAL, HEADROOM, Precision, read_recipes
from engine.export.precision.sensitivity import measure_products
from engine.export.report.quality import PRIMARY
from engine.export.text_files import TextFileError, read_pairs, read_texts
from engine.model.checkpoint import CheckpointError, load_checkpoint
from engine.native.weights import read_weights
from engine.runtime.batch import run_texts
from engine.runtime.engine import Engine
from engine.training.corpus import Pair
from tests.engine.conftest import read_sources
from tests.engine.native.conftest import require

ROOT = Path(__file__).parents[3]
EXAMPLES = ROOT / "examples"
Weights = dict[str, np.ndarray]
FFN = "model.encoder.layers.3"


def _doctored(folder: Path, change: Callable[[Weights], None]) -> Path:
    """The example translator with other weights."""
    shutil.copytree(EXAMPLES / "checkpoints" / "en-fr", folder)
    weights = load_file(folder / "model.safetensors")
    weights = {name: array.astype(np.float32) for name, array in weights.items()}
    change(weights)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    return folder


def _job(folder: Path, repository: Path, texts: int = 16) -> ExportJob:
    checkpoint = load_checkpoint(folder, "translation")
    return ExportJob(checkpoint, "doctored", ("en", "fr"), repository, _short_sources(texts))


def _short_sources(count: int) -> list[str]:
    """Those of some words: what doctored checkpoints make of others runs on and on."""
    short = (text for text in read_sources(200) if len(text.split()) <= 12)
    return list(islice(short, count))


def _overflow_inside(weights: Weights) -> None:
    """The same function, and values between the two products that FP16 can't hold."""
    weights[f"{FFN}.fc1.weight"] *= 40_000
    weights[f"{FFN}.fc1.bias"] *= 40_000
    weights[f"{FFN}.fc2.weight"] /= 40_000


def _overflow_residual(weights: Weights) -> None:
    """The result of a block, and with it the residual sum, beyond what FP16 can hold."""
    weights[f"{FFN}.fc2.weight"] *= 30_000
    weights[f"{FFN}.fc2.bias"] *= 30_000


def _underflow_inside(weights: Weights) -> None:
    """The same function, and values between the two products that FP16 has no digits for."""
    weights[f"{FFN}.fc1.weight"] /= 300_000
    weights[f"{FFN}.fc1.bias"] /= 300_000
    weights[f"{FFN}.fc2.weight"] *= 300_000


def _outlier(weights: Weights) -> None:
    """The same function, and one channel a thousand times as large as the others."""
    norm = "model.decoder.layers.0.final_layer_norm"
    weights[f"{norm}.weight"][17] *= 3_000
    weights[f"{norm}.bias"][17] *= 3_000
    weights["model.decoder.layers.0.fc1.weight"][:, 17] /= 3_000


def _answers(files: Path, texts: list[str]) -> list[tuple[int, ...]]:
    engine = Engine(files)
    engine.start()
    try:
        options = Options(stream=False, token_ids=True)
        return [tuple(one.end.token_ids) for one in run_texts(engine, texts, options)]
    finally:
        engine.stop()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_overflow_inside, "reaches|is nowhere above"),
        (_overflow_residual, "reaches"),
        (_underflow_inside, "is nowhere above|reaches"),
    ],
)
def test_what_fp16_cannot_hold_stays_fp32_and_is_named(
    tmp_path: Path, change: Callable[[Weights], None], reason: str
) -> None:
    folder = _doctored(tmp_path / "doctored", change)
    variants = export(_job(folder, tmp_path / "repository"), ["fp32", "fp16"])
    kept = read_recipes(tmp_path / "repository" / "doctored_fp16" / "1")["encoder.onnx"]["float32"]
    assert any(name.startswith("encoder.3.ffn.sublayer.") for name in kept)
    assert not any(name.startswith(("encoder.2", "decoder")) for name in kept)
    assert all(re.search(reason, one) for one in kept.values())
    names = list(read_weights(tmp_path / "repository" / "doctored_fp16" / "1")[1])
    assert "encoder.2.ffn.down.half" in names and "encoder.3.ffn.down.float" in names
    texts = _short_sources(20)
    fp16, fp32 = (_answers(variant / "1", texts) for variant in sorted(variants))
    assert sum(one == other for one, other in zip(fp16, fp32, strict=True)) >= 18


def test_an_overflow_that_calibration_did_not_show_is_found_by_the_gate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Emulated arithmetic becomes infinite where FP16 would; the layer is named and kept."""
    monkeypatch.setattr(recipes, "out_of_range", lambda model, seen: {})
    folder = _doctored(tmp_path / "doctored", _overflow_inside)
    export(_job(folder, tmp_path / "repository", 8), ["fp16"])
    kept = read_recipes(tmp_path / "repository" / "doctored_fp16" / "1")["encoder.onnx"]["float32"]
    assert any(name.startswith("encoder.3.ffn.sublayer.") for name in kept)
    assert all("is not finite in 16 bits" in reason for reason in kept.values())


def test_an_fp16_that_cannot_be_saved_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipes, "out_of_range", lambda model, seen: {})
    monkeypatch.setattr(fallback, "ROUNDS", 1)
    folder = _doctored(tmp_path / "doctored", _overflow_inside)
    with pytest.raises(GateError, match=r"encoder\.3\.ffn"):
        export(_job(folder, tmp_path / "repository", 8), ["fp32", "fp16"])
    assert not (tmp_path / "repository").exists()


def test_an_outlier_is_moved_into_the_weights(tmp_path: Path) -> None:
    folder = _doctored(tmp_path / "doctored", _outlier)
    variants = export(_job(folder, tmp_path / "repository"), ["fp32", "int8"])
    recipe = read_recipes(tmp_path / "repository" / "doctored_int8" / "1")["decoder_step.onnx"]
    rounding = recipe["roundings"]["decoder.0.ffn.sublayer.up"]
    assert rounding["plain_error"] > 0.3 > 10 * rounding["error"]
    assert rounding["migrated"]
    texts = _short_sources(20)
    fp32, int8 = (_answers(variant / "1", texts) for variant in sorted(variants))
    assert sum(one == other for one, other in zip(int8, fp32, strict=True)) >= 10


def test_without_migration_the_outliers_product_stays_high(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.export.precision.sensitivity.STRENGTHS", ())
    folder = _doctored(tmp_path / "doctored", _outlier)
    export(_job(folder, tmp_path / "repository"), ["int8"])
    recipe = read_recipes(tmp_path / "repository" / "doctored_int8" / "1")["decoder_step.onnx"]
    assert list(recipe["not_int8"]) == ["decoder.0.ffn.sublayer.up"]
    assert "INT8 would change its result by" in recipe["not_int8"]["decoder.0.ffn.sublayer.up"]


def test_what_suffers_most_is_given_up_until_the_gate_is_passed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the outlier's product in INT8 the variant differs too much: the sweep names it."""
    monkeypatch.setattr("engine.export.precision.sensitivity.STRENGTHS", ())
    monkeypatch.setattr(recipes, "MAX_ERROR", 10.0)
    folder = _doctored(tmp_path / "doctored", _outlier)
    export(_job(folder, tmp_path / "repository"), ["int8"])
    recipe = read_recipes(tmp_path / "repository" / "doctored_int8" / "1")["decoder_step.onnx"]
    assert "the variant differed too much" in recipe["not_int8"]["decoder.0.ffn.sublayer.up"]


def test_an_int8_that_gains_nothing_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipes, "MAX_ERROR", 0.0)
    job = _job(EXAMPLES / "checkpoints" / "en-fr", tmp_path / "repository", 8)
    with pytest.raises(GateError, match=r"can't be INT8, so nothing would be gained.*encoder\.0"):
        export(job, ["fp32", "int8"])
    assert not (tmp_path / "repository").exists()


def test_a_weight_that_is_no_number_is_named(tmp_path: Path) -> None:
    def change(weights: Weights) -> None:
        weights["model.encoder.layers.2.fc1.weight"][3, 4] = np.nan

    folder = _doctored(tmp_path / "doctored", change)
    with pytest.raises(CheckpointError, match=r"model\.encoder\.layers\.2\.fc1\.weight holds"):
        _job(folder, tmp_path / "repository")


@pytest.mark.parametrize("precisions", [["fp32"], ["fp32", "int8"], ["fp16"], ["bf16"]])
def test_a_checkpoint_that_makes_values_that_are_not_finite_is_refused_by_name(
    tmp_path: Path, precisions: list[Precision]
) -> None:
    def change(weights: Weights) -> None:
        weights["model.encoder.layers.2.fc1.weight"] *= 1e30
        weights["model.encoder.layers.2.fc2.weight"] *= 1e30

    folder = _doctored(tmp_path / "doctored", change)
    with pytest.raises(NotFiniteError, match=r"encoder\.2\.ffn\.sublayer\.down"):
        export(_job(folder, tmp_path / "repository", 8), precisions)
    assert not (tmp_path / "repository").exists()


def test_a_loss_of_quality_beyond_the_limit_writes_nothing(tmp_path: Path) -> None:
    """Measured against the answers of FP32 itself, where it has 100."""
    folder = EXAMPLES / "checkpoints" / "en-fr"
    job = _job(folder, tmp_path / "first", 24)
    (fp32,) = export(job, ["fp32"])
    engine = Engine(fp32 / "1")
    engine.start()
    texts = _short_sources(24)
    try:
        answers = run_texts(engine, texts, Options(stream=False))
    finally:
        engine.stop()
    test = [Pair(text, answer.text) for text, answer in zip(texts, answers, strict=True)]
    strict = ExportJob(
        job.checkpoint, "strict", ("en", "fr"), tmp_path / "second", texts, test, max_loss=0.0
    )
    with pytest.raises(GateError, match=r"where fp32 has 100\.00, and may lose 0\.0 at most"):
        export(strict, ["int8"])
    assert not (tmp_path / "second").exists()


MODELS: list[tuple[str, Task]] = [
    ("en-fr", "translation"),
    ("deb-summary", "summarization"),
    ("deb-section", "classification"),
]


@pytest.mark.parametrize(("name", "task"), MODELS)
def test_what_fp16_loses_of_the_examples(tmp_path: Path, name: str, task: Task) -> None:
    """In 16-bit arithmetic next to nothing: of so few texts an answer or two is 0.3 points."""
    data = EXAMPLES / "data"
    job = ExportJob(
        load_checkpoint(EXAMPLES / "checkpoints" / name, task),
        name,
        ("en", "fr") if task == "translation" else ("", ""),
        tmp_path,
        read_texts(data / f"{name}.calibration.jsonl")[:64],
        read_pairs(data / f"{name}.test.jsonl")[:100],
        task=task,
        max_loss=0.3,
    )
    (exported,) = export(job, ["fp16"])
    manifest = read_manifest(exported / "1")
    assert manifest.quality[PRIMARY[task]] > 20
    assert all(rate > 0 for rate in manifest.speed.values())
    for recipe in read_recipes(exported / "1").values():
        assert not recipe["float32"]


@pytest.mark.parametrize(("name", "task"), MODELS)
def test_what_int8_loses_of_the_examples(name: str, task: Task) -> None:
    """At most 0.3 points of the whole test set, measured when `make models` imported them."""
    variants = [ROOT / "model_repository" / f"{name}_{one}" / "1" for one in ("fp32", "int8")]
    require(all(one.exists() for one in variants), "`make models` has not imported the examples")
    fp32, int8 = (read_manifest(one).quality[PRIMARY[task]] for one in variants)
    assert int8 >= fp32 - 0.3 - 1e-9
    for recipe in read_recipes(variants[1]).values():
        assert not recipe["not_int8"]


def test_calibration_of_another_language_is_refused(tmp_path: Path) -> None:
    pairs = read_pairs(EXAMPLES / "data" / "en-fr.test.jsonl")[:200]
    job = ExportJob(
        load_checkpoint(EXAMPLES / "checkpoints" / "en-fr", "translation"),
        "en-fr",
        ("en", "fr"),
        tmp_path / "repository",
        [pair.target for pair in pairs],
        require_language=True,
    )
    with pytest.raises(TextFileError, match="seem to be in 'fr', and the model reads en"):
        export(job, ["int8"])
    assert not (tmp_path / "repository").exists()


def _product(weight: np.ndarray) -> onnx.ModelProto:
    graph = onnx.parser.parse_graph("g (float[N, 8] x) => (float[N, 4] y) { y = MatMul(x, w) }")
    graph.node[0].name = "y"
    graph.initializer.append(onnx.numpy_helper.from_array(weight, "w"))
    return onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", 24)], ir_version=11
    )


def test_the_error_of_a_product_is_what_rounding_does_to_it() -> None:
    random = np.random.default_rng(0)
    weight, rows = random.normal(size=(8, 4)), random.normal(size=(500, 8))
    weight, rows = weight.astype(np.float32), rows.astype(np.float32)
    seen = Observation({"x": Seen(rows, np.abs(rows).max(axis=0))}, {})
    found = measure_products(_product(weight), seen)["y"]
    assert 0.001 < found.error < 0.02 and found.divisors is None
    rows[:, 2] *= 1_000
    weight[2] /= 1_000
    seen = Observation({"x": Seen(rows, np.abs(rows).max(axis=0))}, {})
    found = measure_products(_product(weight), seen)["y"]
    assert found.plain_error > 0.3 and found.error < 0.02 and found.divisors is not None


def test_emulated_arithmetic_rounds_and_overflows() -> None:
    weight = np.full((8, 4), 1.0009, np.float32)
    model = _product(weight)
    for dtype, step in ((TensorProto.FLOAT16, 2**-10), (TensorProto.BFLOAT16, 2**-7)):
        typed = in_half(model, dtype)
        assert value_types(typed)["y"] == TensorProto.FLOAT
        session = open_model(emulated(typed))
        made = session.run(["y"], {"x": np.full((1, 8), 0.125, np.float32)})[0]
        assert made[0, 0] % step == 0
    large = np.full((1, 8), FP16_MAX / 4, np.float32)
    half = open_model(emulated(in_half(model, TensorProto.FLOAT16)))
    assert np.isinf(half.run(["y"], {"x": large})[0]).all()
    exact = open_model(emulated(in_half(model, TensorProto.FLOAT16, frozenset({"y"}))))
    assert np.isfinite(exact.run(["y"], {"x": large})[0]).all()


def test_headroom_is_left_for_other_texts() -> None:
    model = _product(np.ones((8, 4), np.float32))
    below, above = (Observation({}, {"y": FP16_MAX / HEADROOM * share}) for share in (0.99, 1.01))
    assert not recipes.out_of_range(model, below)
    assert list(recipes.out_of_range(model, above)) == ["y"]


def test_what_is_too_small_for_fp16_stays_fp32() -> None:
    model = _product(np.ones((8, 4), np.float32))
    below, above = (Observation({}, {"y": FP16_NORMAL * HEADROOM * s}) for s in (0.99, 1.01))
    assert list(recipes.out_of_range(model, below)) == ["y"]
    assert not recipes.out_of_range(model, above)
    assert not recipes.out_of_range(model, Observation({}, {"y": 0.0}))
    assert list(recipes.out_of_range(_product(np.full((8, 4), 1e-5, np.float32)), above)) == ["y"]


def test_recipes_are_json(tmp_path: Path) -> None:
    recipe = recipes.Recipe("int8", not_int8={"a": "because"})
    recipes.write_recipes({"model.onnx": recipe}, tmp_path)
    assert read_recipes(tmp_path)["model.onnx"]["not_int8"] == {"a": "because"}
    (tmp_path / recipes.RECIPE_FILE).write_text(json.dumps([]), encoding="utf-8")
    with pytest.raises(ValueError, match="holds no recipes"):
        read_recipes(tmp_path)
