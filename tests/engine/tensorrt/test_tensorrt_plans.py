"""Plans that TensorRT really builds, for GPUs that are not here, and what it refuses."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load_file, save_file

from engine.contract.manifest import read_manifest
from engine.export.exporter import ExportJob, announce, export
from engine.export.precision.half_weights import restored
from engine.export.precision.recipes import RECIPE_FILE, read_recipes
from engine.export.tensorrt import builder as builder_module
from engine.export.tensorrt import typed_graphs
from engine.export.tensorrt.builder import build
from engine.export.tensorrt.plans import PlanWish, build_plans, shapes_of
from engine.export.tensorrt.typed_graphs import TypedGraphs
from engine.model.checkpoint import load_checkpoint
from engine.runtime.sessions.tensorrt import library as library_module
from engine.runtime.sessions.tensorrt.library import TensorRT, TensorRTMissingError, load_tensorrt
from engine.runtime.sessions.tensorrt.plan import PlanError, read_plan, require_plan
from engine.runtime.sessions.tensorrt.shapes import Size
from tests.engine.conftest import read_sources

EXAMPLES = Path(__file__).parents[3] / "examples" / "checkpoints"
STEP = "decoder_step.onnx"


@pytest.fixture(scope="module")
def tensorrt() -> TensorRT:
    """The builder; without it these tests are skipped here, and fail in CI."""
    try:
        return load_tensorrt("tensorrt_rtx")
    except TensorRTMissingError:
        if os.environ.get("CI"):
            raise
        pytest.skip("TensorRT is not installed")


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory, tensorrt: TensorRT) -> Path:
    """The example translator (also for SM80) and classifier with FP16 and INT8 plans for SM89."""
    root = tmp_path_factory.mktemp("plans")
    wish = PlanWish(["8.0", "8.9"], flavour=tensorrt.flavour)
    texts = read_sources(32)
    translator = load_checkpoint(EXAMPLES / "en-fr", "translation")
    export(ExportJob(translator, "en-fr", ("en", "fr"), root, texts, plans=wish), ["fp16", "int8"])
    classifier = load_checkpoint(EXAMPLES / "deb-section", "classification")
    one = PlanWish(["8.9"], flavour=tensorrt.flavour)
    job = ExportJob(classifier, "section", ("", ""), root, texts, task="classification", plans=one)
    export(job, ["fp16", "int8"])
    return root


@pytest.fixture
def files(repository: Path, tmp_path: Path) -> Path:
    """A copy of the INT8 translator's files, to be damaged."""
    shutil.copytree(repository / "en-fr_int8", tmp_path / "en-fr_int8")
    return tmp_path / "en-fr_int8" / "1"


@pytest.mark.parametrize(
    ("variant", "capabilities", "matmuls"),
    [
        (
            "en-fr_fp16",
            ["8.0", "8.9"],
            {
                "encoder.plan": {"Half": 31},
                "decoder_step.plan": {"Half": 16, "Float": 1},
                "decoder_choice.plan": {"Half": 18, "Float": 1},
            },
        ),
        (
            "en-fr_int8",
            ["8.0", "8.9"],
            {
                "encoder.plan": {"Int8": 25, "Half": 6},
                "decoder_step.plan": {"Int8": 13, "Half": 4},
                "decoder_choice.plan": {"Int8": 13, "Half": 6},
            },
        ),
        ("section_fp16", ["8.9"], {"model.plan": {"Half": 31, "Float": 1}}),
        ("section_int8", ["8.9"], {"model.plan": {"Int8": 24, "Half": 7, "Float": 1}}),
    ],
)
def test_plans_are_built_for_gpus_that_are_not_here(
    repository: Path,
    tensorrt: TensorRT,
    variant: str,
    capabilities: list[str],
    matmuls: dict[str, dict[str, int]],
) -> None:
    """Of INT8 all products with weights are INT8, but an encoder's head; FP32 are the logits."""
    files = repository / variant / "1"
    for capability in capabilities:
        folder, plan = require_plan(files, tensorrt.flavour, tensorrt.version, capability)
        assert plan.matmuls == matmuls
        assert plan.compute_capability == capability
        assert all((folder / name).stat().st_size > 1_000_000 for name in plan.files)
    config = (repository / variant / "config.pbtxt").read_text(encoding="utf-8")
    assert "kind: KIND_AUTO" in config


def test_the_same_weights_in_int8_take_less(repository: Path) -> None:
    sizes = [
        (repository / variant / "1/plans/sm_89/decoder_step.plan").stat().st_size
        for variant in ("en-fr_int8", "en-fr_fp16")
    ]
    assert sizes[0] < 0.9 * sizes[1]


# ---- what is done to a graph so that the build has to refuse it


def _graph(files: Path, name: str = STEP) -> onnx.ModelProto:
    return onnx.load(files / name)


def _ignore_the_mask(files: Path) -> None:
    """Nothing reads the cross-attention's mask any more, nor what it is made of."""
    model = _graph(files)
    for node in model.graph.node:
        for index, name in enumerate(node.input):
            if name == "cross_mask":
                node.input[index] = "zero_mask"
    zero = numpy_helper.from_array(np.zeros((1, 1, 1, 1), np.float32), "zero_mask")
    model.graph.initializer.append(zero)
    onnx.save(model, files / STEP)


def _copy_the_cache(files: Path) -> None:
    """The new keys are written to a copy, which is then handed out."""
    model = _graph(files)
    for index, node in enumerate(model.graph.node):
        if node.op_type == "TensorScatter" and node.output[0] == "present_key_0":
            scale = numpy_helper.from_array(np.array(1.5, np.float32), "some_scale")
            model.graph.initializer.append(scale)
            node.input[0] = "copied_key_0"
            copy = helper.make_node("Mul", ["past_key_0", "some_scale"], ["copied_key_0"])
            model.graph.node.insert(index, copy)
            break
    onnx.save(model, files / STEP)


def test_an_unused_input_is_refused(files: Path, tensorrt: TensorRT) -> None:
    _ignore_the_mask(files)
    _refused(files, tensorrt, "does not use the graph's input source_")


def test_a_cache_that_is_copied_is_refused(files: Path, tensorrt: TensorRT) -> None:
    _copy_the_cache(files)
    # TensorRT itself may refuse it before we see the engine.
    _refused(files, tensorrt, "not updated in place|no layer writes the cache|can't (build|read)")


def test_an_int8_variant_without_int8_products_is_refused(
    files: Path, repository: Path, tensorrt: TensorRT
) -> None:
    shutil.copy(repository / "en-fr_fp16" / "1" / STEP, files / STEP)
    _unpack_halves(files / STEP)
    _refused(files, tensorrt, "decoder_step.plan: not one product is INT8")


def _unpack_halves(path: Path) -> None:
    onnx.save(restored(onnx.load(path)), path)


def test_a_product_in_fp32_that_nobody_asked_for_is_refused(
    repository: Path, tensorrt: TensorRT, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The typed graph leaves it FP32; what is asked for does not name it."""
    shutil.copytree(repository / "en-fr_fp16", tmp_path / "en-fr_fp16")
    files = tmp_path / "en-fr_fp16" / "1"
    typed = typed_graphs.typed_graph

    def leaves_one(model: onnx.ModelProto, precision: str, float32: object) -> onnx.ModelProto:
        return typed(model, precision, {"decoder.0.ffn.sublayer.up": ""})  # type: ignore[arg-type]

    monkeypatch.setattr(typed_graphs, "typed_graph", leaves_one)
    _refused(files, tensorrt, r"decoder\.0\.ffn\.sublayer\.up would be FP32, and nobody asked")
    # The list of layers shows it, too.
    monkeypatch.setattr(typed_graphs, "_require_typed", lambda *_: None)
    _refused(files, tensorrt, r"decoder_step\.plan: .* is computed in FP32, and nobody asked")


def test_a_matrix_that_fp16_cannot_hold_is_fp32_in_the_plan(
    tensorrt: TensorRT, tmp_path: Path
) -> None:
    """Between 16-bit values TensorRT would make a 16-bit product of it, with infinite weights."""
    shutil.copytree(EXAMPLES / "en-fr", tmp_path / "doctored")
    path = tmp_path / "doctored" / "model.safetensors"
    weights = {name: array.astype(np.float32) for name, array in load_file(path).items()}
    layer = "model.encoder.layers.3"
    weights[f"{layer}.fc1.weight"][17] /= 1e6
    weights[f"{layer}.fc1.bias"][17] /= 1e6
    weights[f"{layer}.fc2.weight"][:, 17] *= 1e6
    save_file(weights, path, {"format": "pt"})
    checkpoint = load_checkpoint(path.parent, "translation")
    wish = PlanWish(["8.9"], flavour=tensorrt.flavour)
    root = tmp_path / "repository"
    job = ExportJob(checkpoint, "m", ("en", "fr"), root, read_sources(8), plans=wish)
    (variant,) = export(job, ["fp16"])
    down = "encoder.3.ffn.sublayer.down"
    kept = read_recipes(variant / "1")["encoder.onnx"]["float32"]
    assert kept[down] == kept[f"{down}.biased"]
    plan = read_plan(variant / "1" / "plans" / "sm_89")
    assert plan.matmuls["encoder.plan"] == {"Half": 30, "Float": 1}


def _refused(files: Path, tensorrt: TensorRT, message: str) -> None:
    before = {path: path.stat().st_mtime_ns for path in files.rglob("*.plan")}
    with pytest.raises(PlanError, match=message) as caught:
        build_plans(files.parent, PlanWish(["8.9"], flavour=tensorrt.flavour), announce)
    assert "\n" not in str(caught.value)
    assert {path: path.stat().st_mtime_ns for path in files.rglob("*.plan")} == before


def test_attention_whose_lengths_are_passed_over_is_refused(
    tensorrt: TensorRT, tmp_path: Path
) -> None:
    """What the parser says only in a warning: padding would be attended to."""
    heads = [("q", 1), ("k", 64), ("v", 64)]
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT16, ["B", 4, length, 64])
        for name, length in heads
    ]
    inputs.append(helper.make_tensor_value_info("lengths", TensorProto.INT64, ["B"]))
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT16, ["B", 4, 1, 64])
    node = helper.make_node("Attention", ["q", "k", "v", "", "", "", "lengths"], ["y"])
    model = helper.make_model(
        helper.make_graph([node], "attention", inputs, [output]),
        opset_imports=[helper.make_opsetid("", 24)],
        ir_version=11,
    )
    onnx.save(model, tmp_path / "attention.onnx")
    with pytest.raises(PlanError, match=r"does not use the graph's input lengths"):
        build(tensorrt, tmp_path / "attention.onnx", "8.9", shapes_of(Size(8, 64)))


# ---- wrong input


def _cut(path: Path, size: int = 5000) -> None:
    path.write_bytes(path.read_bytes()[:size])


DAMAGE: list[tuple[Callable[[Path], None], str]] = [
    (lambda files: _cut(files / STEP), "decoder_step.onnx is no whole ONNX graph"),
    (lambda files: (files / STEP).write_bytes(b""), "decoder_step.onnx is no whole ONNX graph"),
    (lambda files: (files / STEP).write_bytes(b"no graph"), "is no whole ONNX graph"),
    (lambda files: (files / STEP).unlink(), "decoder_step.onnx is no whole ONNX graph"),
    (lambda files: (files / RECIPE_FILE).unlink(), "does not tell how it was rounded"),
    (lambda files: (files / RECIPE_FILE).write_text("[]"), "does not tell how it was rounded"),
    (lambda files: (files / RECIPE_FILE).write_text("{}"), "does not tell how it was rounded"),
    (lambda files: (files / RECIPE_FILE).write_text('{"a": {}}'), "does not tell how it was"),
    (lambda files: _cut(files / "manifest.json", 40), "has no manifest that can be read"),
]


@pytest.mark.parametrize(("damage", "message"), DAMAGE)
def test_a_damaged_variant_is_told_in_one_sentence(
    files: Path, tensorrt: TensorRT, damage: Callable[[Path], None], message: str
) -> None:
    damage(files)
    _refused(files, tensorrt, message)


def test_a_gpu_that_cannot_be_built_for_is_told(files: Path, tensorrt: TensorRT) -> None:
    with pytest.raises(PlanError, match=r"can't build for compute capability 9\.0; it can for"):
        build_plans(files.parent, PlanWish(["9.0"], flavour=tensorrt.flavour), announce)


def test_without_tensorrt_the_reason_and_the_way_are_told(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library_module, "_imported", lambda name: None)
    with pytest.raises(PlanError, match=r"TensorRT is not installed: `pip install tensorrt`"):
        build_plans(files.parent, PlanWish(["8.9"]), announce)


def test_a_timing_cache_is_read_again(repository: Path, tensorrt: TensorRT, tmp_path: Path) -> None:
    """What is no timing cache is replaced."""
    files = repository / "section_fp16" / "1"
    graphs = TypedGraphs(files, read_manifest(files), tmp_path)
    cache = tmp_path / "timing" / "cache"
    for content in (None, b"no timing cache"):
        if content is not None:
            cache.write_bytes(content)
        build(tensorrt, graphs.typed["model.plan"], "8.9", shapes_of(Size(8, 64)), cache)
        assert cache.stat().st_size > len(content or b"")


def test_a_half_made_build_leaves_the_plans_as_they_were(
    files: Path, tensorrt: TensorRT, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second graph fails: the first one's new plan is not put in place."""
    before = read_plan(files / "plans" / "sm_89")
    parse = builder_module._require_no_unused

    def fails(graph: Path, messages: list[str]) -> None:
        parse(graph, messages)
        if graph.stem == "decoder_choice":
            raise PlanError("no")

    monkeypatch.setattr(builder_module, "_require_no_unused", fails)
    with pytest.raises(PlanError):
        build_plans(files.parent, PlanWish(["8.9"], flavour=tensorrt.flavour), announce)
    assert read_plan(files / "plans" / "sm_89") == before
    require_plan(files, tensorrt.flavour, tensorrt.version, "8.9")


def test_the_recipes_of_the_examples_keep_nothing_high(repository: Path) -> None:
    for variant in ("en-fr_int8", "section_int8"):
        for recipe in read_recipes(repository / variant / "1").values():
            assert recipe["roundings"] and not recipe["not_int8"]


@pytest.mark.parametrize(
    ("asked", "message"),
    [(32, "max_rows in config.pbtxt is 64, and plans for 32 rows"), (1025, "are more than 1024")],
)
def test_plans_that_fit_no_configuration_are_refused(
    files: Path, tensorrt: TensorRT, asked: int, message: str
) -> None:
    wish = PlanWish(["8.9"], asked, tensorrt.flavour)
    with pytest.raises(PlanError, match=message):
        build_plans(files.parent, wish, announce)


def test_plans_are_for_as_many_rows_as_triton_lets_run(files: Path, tensorrt: TensorRT) -> None:
    """Sources are encoded in parts: all rows at once would take memory for the longest of each."""
    assert read_plan(files / "plans" / "sm_89").max_rows == 64
    config = files.parent / "config.pbtxt"
    text = config.read_text(encoding="utf-8")
    row = 'parameters { key: "max_rows", value: { string_value: "%s" } }'
    assert row % 64 in text
    config.write_text(text.replace(row % 64, row % 256), encoding="utf-8")
    build_plans(files.parent, PlanWish(["8.9"], flavour=tensorrt.flavour), announce)
    plan = read_plan(files / "plans" / "sm_89")
    assert (plan.max_rows, plan.encoder_rows) == (256, 64)
