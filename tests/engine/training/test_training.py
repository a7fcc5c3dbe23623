import json
import random
from functools import partial
from pathlib import Path

import pytest
import torch

from engine.model.checkpoint import load_checkpoint
from engine.training.batches import collate_pairs, encode_pairs, make_batches, padded
from engine.training.config import ConfigError, TrainingConfig, load_config
from engine.training.corpus import Pair, load_pairs, write_pairs
from engine.training.evaluation import measure_checkpoint
from engine.training.plot import plot_loss
from engine.training.trainer import Trainer
from tests.engine.conftest import DATA, write_pegasus


@pytest.fixture
def config(tmp_path: Path) -> TrainingConfig:
    rows = [json.loads(line) for line in (DATA / "en-fr.test.jsonl").open(encoding="utf-8")]
    pairs = [Pair(**row) for row in rows if len(row["source"]) < 90][:240]
    write_pairs(tmp_path / "train.jsonl", pairs[:200])
    write_pairs(tmp_path / "dev.jsonl", pairs[200:])
    return TrainingConfig(
        train=tmp_path / "train.jsonl",
        dev=tmp_path / "dev.jsonl",
        test=tmp_path / "dev.jsonl",
        output=tmp_path / "run",
        source_language="en",
        target_language="fr",
        model={
            "vocab_size": 600,
            "encoder_layers": 1,
            "decoder_layers": 1,
            "encoder_heads": 2,
            "decoder_heads": 2,
            "d_model": 32,
            "encoder_ffn": 64,
            "decoder_ffn": 64,
            "norm": "pre",
        },
        steps=12,
        warmup_steps=4,
        peak_learning_rate=5e-3,
        batch_tokens=512,
        evaluate_every=6,
    )


def _losses(folder: Path) -> list[float]:
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["train_loss"] for line in lines]


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_the_loss_falls_and_weights_stay_fp32(config: TrainingConfig, precision: str) -> None:
    trainer = Trainer(config.model_copy(update={"precision": precision, "steps": 24}))
    assert trainer.run()
    losses = _losses(config.output)
    assert losses[-1] < losses[0] - 0.3
    assert {p.dtype for p in trainer.model.parameters()} == {torch.float32}
    assert trainer.scaler.is_enabled() == (precision == "fp16")


def test_a_resumed_run_ends_with_the_weights_of_an_uninterrupted_one(
    config: TrainingConfig, tmp_path: Path
) -> None:
    config = config.model_copy(update={"precision": "fp32"})
    whole = Trainer(config.model_copy(update={"output": tmp_path / "whole"}))
    assert whole.run()
    first = Trainer(config)
    first._report = lambda *_: first._stop()  # type: ignore[method-assign]
    assert not first.run()
    assert first.step == 6
    second = Trainer(config)
    assert second.run()
    for name, weight in whole.average.state_dict().items():
        torch.testing.assert_close(second.average.state_dict()[name], weight)


def test_the_learning_rate_warms_up_and_decays_to_zero(config: TrainingConfig) -> None:
    trainer = Trainer(config)
    rates = []
    for trainer.step in range(config.steps):
        rates.append(trainer._learning_rate())
    assert rates[:4] == pytest.approx([config.peak_learning_rate * s / 4 for s in (1, 2, 3, 4)])
    assert rates[4:] == sorted(rates[4:], reverse=True)
    assert rates[-1] == pytest.approx(config.peak_learning_rate / 8)


def test_batches_hold_every_example_once_within_the_bound(config: TrainingConfig) -> None:
    trainer = Trainer(config)
    examples = encode_pairs(load_pairs(config.train), trainer.tokenizer, 160)
    collate = partial(collate_pairs, config=config.transformer)
    batches = list(make_batches(examples, collate, 512, random.Random(1)))
    assert sum(batch.weight for batch in batches) == sum(len(e.target) for e in examples)
    for batch in batches:
        assert batch.source.numel() <= 512 + padded(160)
        assert batch.source.shape[1] % 16 == batch.labels.shape[1] % 16 == 0
        assert (batch.inputs[:, 0] == config.transformer.decoder_start_id).all()
        follows = batch.labels[:, :-1]
        assert (
            (batch.inputs[:, 1:][follows >= 0] == follows[follows >= 0])
            .logical_or(batch.labels[:, 1:][follows >= 0] < 0)
            .all()
        )


def test_a_summarizer_starts_from_a_checkpoint_and_has_no_languages(
    config: TrainingConfig, tmp_path: Path
) -> None:
    start = write_pegasus(tmp_path / "start")
    model = vars(load_checkpoint(start).config) | {"output_bias": False}
    changes = {
        "task": "summarization",
        "source_language": "",
        "target_language": "",
        "initial_checkpoint": start,
        "model": model,
        "max_length": 64,
        "cut_sources": True,
        "max_target_tokens": 20,
    }
    trainer = Trainer(TrainingConfig(**config.model_dump() | changes))
    untrained = load_checkpoint(start).model.state_dict()
    torch.testing.assert_close(trainer.model.embedding.weight, untrained["embedding.weight"])
    write_pairs(config.train, [Pair("a long text " * 40, "short"), *load_pairs(config.train)])
    assert max(len(e.source) for e in trainer.task.read_examples(config.train)) == 64
    assert trainer.run()
    trainer.task.save(trainer.best_model(), config.output / "checkpoint")
    saved = load_checkpoint(config.output / "checkpoint")
    generation = json.loads((saved.folder / "generation_config.json").read_text(encoding="utf-8"))
    assert (saved.languages, generation["max_length"]) == (None, 21)
    pairs = load_pairs(config.test)[:4]
    assert set(measure_checkpoint(saved.folder, pairs)) == {"rouge1", "rouge2", "rougeL"}


def test_the_loss_plot_is_an_image(tmp_path: Path) -> None:
    row = {"step": 1, "train_loss": 2.0, "dev_loss": 2.5, "dev_loss_shuffled_sources": 4.0}
    metrics = tmp_path / "metrics.jsonl"
    metrics.write_text("\n".join(json.dumps(row | {"step": s}) for s in (1, 2, 3)))
    plot_loss(metrics, tmp_path / "loss.png")
    assert (tmp_path / "loss.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('precision = "fp8"', "precision"),
        ("steps = 0", "steps"),
        ("stepz = 10", "stepz"),
        ("max_length = 4096", "max_positions"),
        ("[model]\nlayers = 3", "layers"),
        ('task = "summarization"', "task = translation"),
        ('source_language = ""', "source_language"),
    ],
)
def test_a_wrong_configuration_names_the_field(tmp_path: Path, line: str, message: str) -> None:
    example = (DATA.parent / "configs" / "en-fr.toml").read_text(encoding="utf-8")
    key = line.split(" = ")[0].strip()
    lines = [row for row in example.splitlines() if not row.startswith(f"{key} = ")]
    head, tables = "\n".join(lines).split("[model]")
    text = f"{head}\n{line}\n[model]\n{tables}"
    if line.startswith("[model]"):
        text = f"{head}\n{line}\n{tables}"
    (tmp_path / "config.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        load_config(tmp_path / "config.toml")


def test_the_example_configurations_load() -> None:
    for path in (DATA.parent / "configs").glob("*.toml"):
        assert load_config(path).transformer.d_model in (256, 512)
