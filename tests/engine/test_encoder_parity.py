"""Every encoder family end to end: an imported checkpoint's logits are those of `transformers`."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import (
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoTokenizer,
)
from typer.testing import CliRunner

from engine.cli import app
from engine.contract.manifest import read_manifest
from engine.contract.readings import Logits, Reading
from engine.native.weights import have_weights
from engine.runtime.encoders.engine import EncoderEngine
from engine.runtime.encoders.request import EncoderItem, EncoderOptions
from engine.runtime.encoders.session import EncoderRunner, EncoderSession
from engine.runtime.encoders.torch_session import TorchEncoderSession
from engine.runtime.encoders.windows import WindowCutter
from engine.runtime.sessions.placement import SESSION_VARIABLE, open_encoder_session
from engine.runtime.text.vocabulary import load_tokenizer
from tests.engine.model.encoder_checkpoints import FAMILIES, HEADS, LABELS

TEXTS = ["A small editor.", "Games", "A library for reading and writing images."]
PROTEINS = ["MKTAYIAKQR", "MV", "GAVLIPFYWSTCMNQDEKRH"]
QUESTION = "What is small?"


def imported(family: str, task: str, root: Path) -> Path:
    """The files of the FP32 variant."""
    head = "classification" if task == "classification" else "spans"
    FAMILIES[family](root / family, head, 5)
    arguments = ["import", str(root / family), "--task", task, "--precision", "fp32"]
    result = CliRunner().invoke(app, [*arguments, "--model-repository", str(root / "repository")])
    assert result.exit_code == 0, result.output
    return root / "repository" / f"{family}_fp32" / "1"


def run(files: Path, items: list[EncoderItem]) -> list[Reading]:
    engine = EncoderEngine(files, lanes=1)
    results = engine.run(items)
    engine.close()
    return results


@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_classifies_as_transformers(
    family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = imported(family, "classification", tmp_path)
    assert read_manifest(files).labels == tuple(LABELS)
    texts = PROTEINS if family.startswith("esm") else TEXTS
    items = [EncoderItem(text, EncoderOptions()) for text in texts]
    results = run(files, items)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / family)
    oracle = AutoModelForSequenceClassification.from_pretrained(
        tmp_path / family, dtype=torch.float32
    ).eval()
    for text, result in zip(texts, results, strict=True):
        assert isinstance(result, Logits), result
        expected = oracle(**tokenizer(text, return_tensors="pt")).logits[0]
        np.testing.assert_allclose(result.logits, expected, atol=1e-3)
    if have_weights(files):
        monkeypatch.setenv(SESSION_VARIABLE, "torch")
        for result, other in zip(run(files, items), results, strict=True):
            assert isinstance(result, Logits) and isinstance(other, Logits), result
            np.testing.assert_allclose(result.logits, other.logits, atol=1e-4)


@pytest.mark.parametrize("family", [name for name in FAMILIES if "spans" in HEADS[name]])
@torch.no_grad()
def test_marks_spans_as_transformers(family: str, tmp_path: Path) -> None:
    files = imported(family, "question-answering", tmp_path)
    manifest = read_manifest(files)
    cutter = WindowCutter(load_tokenizer(files), manifest.max_source_tokens)
    windows = [cutter.cut_context(QUESTION, text, None, 30).windows[0] for text in TEXTS]
    sessions: list[EncoderRunner] = [EncoderSession(files, manifest, 1)]
    sessions.append(open_encoder_session(files, manifest, 1, None))
    if have_weights(files):
        sessions.append(TorchEncoderSession(files, manifest, None))
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / family)
    oracle = AutoModelForQuestionAnswering.from_pretrained(
        tmp_path / family, dtype=torch.float32
    ).eval()
    for text, *results in zip(TEXTS, *(one.run(windows) for one in sessions), strict=True):
        output = oracle(**tokenizer(QUESTION, text, return_tensors="pt"))
        expected = torch.stack([output.start_logits[0], output.end_logits[0]], dim=1)
        for result in results:
            np.testing.assert_allclose(result, expected, atol=1e-3)
