import json
import os
import re
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
import transformers

from engine.contract.manifest import read_manifest
from engine.contract.options import Options
from engine.export.exporter import ExportJob, export
from engine.export.gates.transformer import GateError, check_variant
from engine.export.native.transformer import write_native
from engine.export.precision.recipes import Precision
from engine.export.report.oracle import transformers_answers
from engine.model.checkpoint import Checkpoint, load_checkpoint
from engine.native.library import is_there
from engine.native.weights import MODEL_FILE
from engine.runtime.batch import run_texts
from engine.runtime.engine import Engine
from engine.runtime.sessions.caches import Caches
from engine.runtime.sessions.memory import ArrayMemory
from engine.runtime.sessions.onnx_session import OnnxSession
from tests.engine.conftest import read_sources

EXAMPLE = Path(__file__).parents[3] / "examples" / "checkpoints" / "en-fr"
EXAMPLE_REPOSITORY = Path(__file__).parents[3] / "model_repository"


def _tokens(folder: Path, texts: list[str]) -> list[tuple[int, ...]]:
    options = Options(stream=False, token_ids=True, num_beams=1, stop_repetition=False)
    engine = Engine(folder)
    engine.start()
    try:
        answers = run_texts(engine, texts, options)
    finally:
        engine.stop()
    return [tuple(answer.end.token_ids) for answer in answers]


def test_fp32_equals_transformers_token_for_token(
    repository: Path, checkpoints: dict[str, Path], family: str
) -> None:
    folder = repository / f"{family}_fp32" / "1"
    limit = read_manifest(folder).max_source_tokens
    engine_limit_texts = [text for text in read_sources(120) if len(text) < limit]
    assert len(engine_limit_texts) > 30
    expected = transformers_answers(checkpoints[family], engine_limit_texts, folder)
    assert _tokens(folder, engine_limit_texts) == expected
    assert len({len(ids) for ids in expected}) > 1 or len(expected[0]) == 40


def test_the_example_equals_transformers_token_for_token() -> None:
    folder = EXAMPLE_REPOSITORY / "en-fr_fp32" / "1"
    if not folder.is_dir():
        if os.environ.get("CI"):
            pytest.fail("model_repository/en-fr_fp32 is not there: `make models` writes it")
        pytest.skip("`make models` writes the variant that this test needs")
    texts = read_sources(24)
    assert _tokens(folder, texts) == transformers_answers(EXAMPLE, texts, folder)


def test_transformers_tokenizes_as_we_do(repository: Path, checkpoints: dict[str, Path]) -> None:
    from engine.runtime.text.vocabulary import load_vocabulary

    for family, folder in checkpoints.items():
        theirs = transformers.AutoTokenizer.from_pretrained(folder)
        files = repository / f"{family}_fp32" / "1"
        ours = load_vocabulary(files, read_manifest(files))
        texts = [*read_sources(50), "emoji 😀", "  spaces   inside ", "tab\tand\nline"]
        assert ours.encode(texts) == [theirs(text)["input_ids"] for text in texts], family


def test_what_computes_is_named_by_its_layer(repository: Path, family: str) -> None:
    """So that a gate that names a value tells where it is."""
    layer = re.compile(r"(encoder|decoder)\.\d+\.|(encoder|decoder)_|cross_|head$|logits$|all_log")
    for name in ("encoder.onnx", "decoder_step.onnx"):
        nodes = onnx.load(repository / f"{family}_fp32" / "1" / name).graph.node
        computing = ("MatMul", "Add", "Mul", "Softmax", "LayerNormalization", "RMSNormalization")
        unnamed = [n.name for n in nodes if n.op_type in computing and not layer.match(n.name)]
        assert not unnamed


def test_every_constant_product_is_int8(repository: Path, family: str) -> None:
    for graph in ("encoder.onnx", "decoder_step.onnx"):
        path = repository / f"{family}_int8" / "1" / graph
        model = onnx.load(path)
        constants = {constant.name for constant in model.graph.initializer}
        restored = {n.output[0] for n in model.graph.node if n.op_type == "DequantizeLinear"}
        products = [node for node in model.graph.node if node.op_type == "MatMul"]
        assert not [node.name for node in products if node.input[1] in constants]
        quantized = [node for node in products if node.input[1] in restored]
        assert len(quantized) == _kernels(path, "MatMulIntegerToFloat")


def _kernels(path: Path, op_type: str) -> int:
    """How many nodes of a kind are left when ONNX Runtime has optimised the graph as we open it."""
    options = ort.SessionOptions()
    optimised = path.parent.parent / "optimised.onnx"
    options.optimized_model_filepath = str(optimised)
    options.log_severity_level = 3
    ort.InferenceSession(str(path), options, disabled_optimizers=["MatMulAddFusion"])
    try:
        return sum(node.op_type == op_type for node in onnx.load(optimised).graph.node)
    finally:
        optimised.unlink()


def test_the_cache_is_written_in_place(variant: Path, capfd: pytest.CaptureFixture[str]) -> None:
    manifest = read_manifest(variant)
    session = OnnxSession(variant, manifest, threads=1)
    slots = session.slots(4)
    slots.admit(session.encode([[5, 6, 7], [8, 9, 10]]), [3, 3], [8, 8])
    memory = slots.memory
    assert isinstance(memory, ArrayMemory) and isinstance(memory.caches, Caches)
    cache = memory.caches.arrays[0]
    assert not cache.any()
    session.step(slots)
    assert cache[:2, :, 0].any()
    assert not cache[:2, :, 1:].any()
    assert not cache[2:].any()


def test_a_variant_that_differs_from_its_checkpoint_is_refused(
    tmp_path: Path, checkpoints: dict[str, Path]
) -> None:
    checkpoint = load_checkpoint(checkpoints["pegasus"])
    job = ExportJob(checkpoint, "bad", ("en", "fr"), tmp_path, read_sources(8))
    folder = export(job, ["fp32"])[0] / "1"
    with torch.no_grad():
        checkpoint.transformer.decoder[0].ffn.sublayer.down.weight.mul_(1.5)
    with pytest.raises(GateError, match="differ from the checkpoint's"):
        check_variant(folder, checkpoint, read_sources(8))


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_what_native_code_makes_of_16_bits_passes_the_gate_too(
    precision: Precision,
    tmp_path: Path,
    checkpoints: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not is_there():
        pytest.skip("the native library is missing: run `make native`")

    def write_another(folder: Path, *parts: Any) -> None:
        write_native(folder, *parts)
        model = json.loads((folder / MODEL_FILE).read_text())
        (folder / MODEL_FILE).write_text(json.dumps(model | {"activation": "tanh"}))

    monkeypatch.setattr("engine.export.precision.fallback.write_native", write_another)
    checkpoint = load_checkpoint(checkpoints["pegasus"])
    job = ExportJob(checkpoint, "bad", ("en", "fr"), tmp_path, read_sources(8))
    with pytest.raises(GateError, match="differ from the checkpoint's"):
        export(job, [precision])
    assert list(tmp_path.iterdir()) == []


def test_a_failed_gate_writes_nothing(
    tmp_path: Path, checkpoints: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise GateError("no")

    monkeypatch.setattr("engine.export.precision.fallback.check_variant", refuse)
    job = ExportJob(
        load_checkpoint(checkpoints["pegasus"]), "bad", ("en", "fr"), tmp_path, read_sources(4)
    )
    with pytest.raises(GateError):
        export(job, ["fp32"])
    assert list(tmp_path.iterdir()) == []


def test_exporting_again_replaces_the_variant(tmp_path: Path, checkpoints: dict[str, Path]) -> None:
    checkpoint = load_checkpoint(checkpoints["pegasus"])
    job = ExportJob(checkpoint, "twice", ("en", "fr"), tmp_path, read_sources(4))
    (first,) = export(job, ["fp32"])
    (first / "1" / "left-over").touch()
    (second,) = export(job, ["fp32"])
    assert first == second
    assert not (second / "1" / "left-over").exists()


def test_suppressed_tokens_are_never_made(tmp_path: Path, checkpoints: dict[str, Path]) -> None:
    checkpoint = load_checkpoint(checkpoints["marian"])
    texts = [text for text in read_sources(60) if len(text) < 100][:6]
    assert checkpoint.suppressed_ids == (checkpoint.config.pad_id,)
    favourites = _favourites(checkpoint, tmp_path / "free", texts)
    generation = replace(checkpoint.generation, suppressed_ids=favourites)
    banned = replace(checkpoint, generation=generation)
    assert not set(_favourites(banned, tmp_path / "banned", texts)) & set(favourites)


def _favourites(checkpoint: Checkpoint, repository: Path, texts: list[str]) -> tuple[int, ...]:
    """The three tokens that the checkpoint makes most, but for the end of sequence."""
    job = ExportJob(checkpoint, "favourites", ("en", "fr"), repository, texts)
    made = Counter(i for ids in _tokens(export(job, ["fp32"])[0] / "1", texts) for i in ids)
    made.pop(checkpoint.config.eos_id, None)
    return tuple(token for token, _ in made.most_common(3))


def test_a_checkpoint_without_tokenizer_is_refused(
    tmp_path: Path, checkpoints: dict[str, Path]
) -> None:
    folder = Path(shutil.copytree(checkpoints["pegasus"], tmp_path / "copy"))
    (folder / "tokenizer.json").unlink()
    job = ExportJob(load_checkpoint(folder), "x", ("en", "fr"), tmp_path / "out", ["text"])
    with pytest.raises(ValueError, match="tokenizer"):
        export(job, ["fp32"])


def test_activation_scales_are_constants(repository: Path) -> None:
    model = onnx.load(repository / "pegasus_int8" / "1" / "decoder_step.onnx")
    constants = {c.name: onnx.numpy_helper.to_array(c) for c in model.graph.initializer}
    for node in model.graph.node:
        assert node.op_type != "DynamicQuantizeLinear"
        if node.op_type == "QuantizeLinear":
            assert constants[node.input[1]] > 0
            assert constants[node.input[2]] == np.int8(0)
