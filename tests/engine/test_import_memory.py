"""What an import takes of memory, as docs/checkpoints.md promises, in a process of its own.

Checkpoints are small in layers and big in what memory hangs on: vocabulary, positions, heads.
"""

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
import transformers

from tests.engine.model import encoder_checkpoints, seq2seq_checkpoints

TIMES, MORE = 3, 1 << 30
"""The promise: so many times the weights in FP32, and so many bytes more."""

# The most that the process was ever resident, as the kernel counts it.
MEASURED = """
import sys
from engine.cli import app
app(sys.argv[1:], standalone_mode=False)
# Not `ru_maxrss`: that begins with the memory of the process that forked this one.
status = open("/proc/self/status").read()
print("peak", 1024 * int(status.partition("VmHWM:")[2].split()[0]))
"""

WORDS = ("the", "package", "is", "a", "small", "and", "fast", "library", "for", "programs")


def _enlarged(folder: Path, dtype: torch.dtype = torch.float32, **sizes: int) -> int:
    """Writes other weights, of other sizes, to a checkpoint; returns their bytes in FP32."""
    config: Any = transformers.AutoConfig.from_pretrained(folder)
    for name, size in sizes.items():
        assert hasattr(config, name), name
        setattr(config, name, size)
    kind: Any = transformers.AutoModelForSequenceClassification
    if config.is_encoder_decoder:
        kind = transformers.AutoModelForSeq2SeqLM
    model = kind.from_config(config)
    if config.is_encoder_decoder:
        model.generation_config = transformers.GenerationConfig.from_pretrained(folder)
    model.to(dtype).save_pretrained(folder)
    return 4 * sum(parameter.numel() for parameter in model.parameters())


def _peak(checkpoint: Path, repository: Path, calibration: list[str], *options: str) -> int:
    texts = checkpoint.parent / "texts.txt"
    texts.write_text("\n".join(calibration), encoding="utf-8")
    arguments = [str(checkpoint), "--model-repository", str(repository), *options]
    finished = subprocess.run(
        [sys.executable, "-c", MEASURED, "import", *arguments, "--calibration", str(texts)],
        env={**os.environ, "OMP_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr[-2000:]
    return int(finished.stdout.rpartition("peak ")[2])


def _texts(*lengths: int) -> list[str]:
    chosen = random.Random(0)
    return [" ".join(chosen.choices(WORDS, k=length)) for length in lengths]


def test_an_encoder_with_a_large_vocabulary(tmp_path: Path) -> None:
    """Its file is in FP16, so that the weights in FP32 are a copy."""
    folder = tmp_path / "checkpoint"
    encoder_checkpoints.xlm_roberta(folder, "classification", 1)
    weights = _enlarged(folder, torch.float16, vocab_size=250_000, hidden_size=256)
    assert weights > 250e6
    assert _peak(folder, tmp_path / "models", _texts(*range(3, 40))) <= TIMES * weights + MORE


def test_an_encoder_decoder_with_a_large_vocabulary(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint"
    seq2seq_checkpoints.write_bart(folder, 1)
    weights = _enlarged(folder, vocab_size=150_000, d_model=256)
    assert weights > 150e6
    options = ("--task", "translation", "--source", "en", "--target", "fr")
    peak = _peak(folder, tmp_path / "models", _texts(5, 6, 7, 8), *options)
    assert peak <= TIMES * weights + MORE


def test_long_texts_are_not_computed_together_with_short_ones(tmp_path: Path) -> None:
    """Two short texts among 62 long ones, in a model of few weights and many heads."""
    folder = tmp_path / "checkpoint"
    encoder_checkpoints.bert(folder, "classification", 1)
    sizes = {"max_position_embeddings": 512, "num_attention_heads": 8, "num_hidden_layers": 2}
    weights = _enlarged(folder, **sizes)
    assert weights < 1 << 20
    test = tmp_path / "test.jsonl"
    pairs = [{"source": text, "target": "net"} for text in _texts(*[700] * 6)]
    test.write_text("\n".join(map(json.dumps, pairs)), encoding="utf-8")
    peak = _peak(
        folder,
        tmp_path / "models",
        _texts(1, 2, *[600] * 62),
        "--test",
        str(test),
        "--max-loss",
        "100",
    )
    assert peak <= TIMES * weights + MORE
