"""LongT5 from a checkpoint to an INT8 variant, which reads a document as one input."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from engine.cli import app
from engine.contract.manifest import read_manifest
from engine.contract.options import Options
from engine.runtime.batch import run_texts
from engine.runtime.engine import Engine, Settings
from tests.engine.model.seq2seq_checkpoints import write_longt5_global

LONGEST = 16_384
WORDS = 2_000


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("long") / "long-t5"
    write_longt5_global(folder, 3)
    return folder


def _import(checkpoint: Path, *options: str) -> str:
    repository = str(checkpoint.parent / "repository")
    arguments = ["import", str(checkpoint), "--task", "summarization"]
    result = CliRunner().invoke(app, [*arguments, "--model-repository", repository, *options])
    return "" if result.exit_code == 0 else " ".join(result.output.split())


def test_a_document_is_one_input_of_an_int8_variant(checkpoint: Path) -> None:
    assert _import(checkpoint, "--precision", "int8") == ""
    folder = checkpoint.parent / "repository" / "long-t5_int8" / "1"
    assert read_manifest(folder).max_source_tokens == LONGEST
    engine = Engine(folder, Settings(lanes=1))
    engine.start()
    try:
        texts = ["The tool shows files. " * (WORDS // 4), "A small editor."]
        long, short = run_texts(engine, texts, Options(max_new_tokens=4))
    finally:
        engine.stop()
    assert WORDS < long.end.input_tokens < LONGEST
    assert short.end.input_tokens < WORDS


def test_plans_are_refused(checkpoint: Path) -> None:
    said = _import(checkpoint, "--precision", "fp16", "--tensorrt", "--compute-capability", "80")
    assert "no TensorRT plan is built for" in said
    assert "leave --tensorrt out." in said
