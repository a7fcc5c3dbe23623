import json
import random
from collections import Counter
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from engine.model.checkpoint import load_checkpoint
from engine.training.batches import cut_middle
from engine.training.classification import ClassificationTraining, LabelledText, repeat_rare
from engine.training.config import TrainingConfig
from engine.training.corpus import Pair, write_pairs
from engine.training.evaluation import classify, measure_checkpoint
from engine.training.trainer import Trainer
from tests.engine.conftest import write_pegasus

TEXTS = [
    Pair(f"{opening} number {n} {noun}", label)
    for n in range(30)
    for opening, noun, label in (
        ("a game with", "levels and monsters", "games"),
        ("library that parses", "documents in C", "libs"),
        ("editor for text", "with macros", "editors"),
    )
]


@pytest.fixture
def start(tmp_path: Path) -> Path:
    return write_pegasus(tmp_path / "start")


@pytest.fixture
def config(tmp_path: Path, start: Path) -> TrainingConfig:
    write_pairs(tmp_path / "train.jsonl", TEXTS)
    (tmp_path / "run").mkdir()
    model = load_checkpoint(start).config
    return TrainingConfig(
        task="classification",
        train=tmp_path / "train.jsonl",
        dev=tmp_path / "train.jsonl",
        test=tmp_path / "train.jsonl",
        output=tmp_path / "run",
        initial_checkpoint=start,
        model={**vars(model), "vocab_size": model.vocab_size + 1, "output_bias": False},
        precision="fp32",
        steps=60,
        warmup_steps=4,
        peak_learning_rate=1e-2,
        batch_tokens=512,
        max_length=64,
        word_dropout=0.1,
        evaluate_every=20,
    )


def test_a_classifier_learns_its_labels_and_reads_its_text(config: TrainingConfig) -> None:
    trainer = Trainer(config)
    assert trainer.run()
    rows = [json.loads(line) for line in (config.output / "metrics.jsonl").open(encoding="utf-8")]
    assert rows[-1]["train_loss"] < rows[0]["train_loss"]
    assert rows[-1]["dev_loss_shuffled_sources"] > rows[-1]["dev_loss"]
    trainer.task.save(trainer.best_model(), config.output / "checkpoint")
    assert measure_checkpoint(config.output / "checkpoint", TEXTS)["accuracy"] > 90


def test_the_saved_checkpoint_gives_our_logits(config: TrainingConfig) -> None:
    task = ClassificationTraining(config)
    model = task.new_model().eval()
    torch.nn.init.normal_(model.output.weight)
    folder = config.output / "checkpoint"
    task.save(model, folder)
    theirs = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    encoded = tokenizer([pair.source for pair in TEXTS[:9]], padding=True, return_tensors="pt")
    with torch.no_grad():
        expected = theirs(encoded["input_ids"], encoded["attention_mask"]).logits
        ours = model(encoded["input_ids"], encoded["attention_mask"].bool())
    torch.testing.assert_close(ours, expected, rtol=0, atol=0.02)
    assert theirs.config.id2label == dict(enumerate(task.labels))


def test_the_tokenizer_starts_each_text_and_parts_a_pair(config: TrainingConfig) -> None:
    task = ClassificationTraining(config)
    task.save(task.new_model(), config.output / "checkpoint")
    tokenizer = AutoTokenizer.from_pretrained(config.output / "checkpoint")
    first, end = tokenizer.bos_token_id, tokenizer.eos_token_id
    assert (tokenizer.cls_token_id, tokenizer.sep_token_id) == (first, end)
    one, two = (tokenizer(text, add_special_tokens=False).input_ids for text in ("a", "b"))
    assert tokenizer("a").input_ids == [first, *one, end]
    assert tokenizer("a", "b").input_ids == [first, *one, end, end, *two, end]


def test_the_encoder_starts_from_the_initial_checkpoint(
    config: TrainingConfig, start: Path
) -> None:
    other = load_checkpoint(start).model
    model = ClassificationTraining(config).new_model()
    weights = model.state_dict()
    for name, weight in other.state_dict().items():
        if name.startswith("encoder"):
            torch.testing.assert_close(weights[name], weight)
    embeddings = weights["embedding.weight"]
    torch.testing.assert_close(embeddings[:-1], other.embedding.weight)
    torch.testing.assert_close(embeddings[-1], other.embedding.weight[other.config.eos_id])


def test_words_are_hidden_only_while_training(config: TrainingConfig) -> None:
    task = ClassificationTraining(config.model_copy(update={"word_dropout": 0.9}))
    (batch, *_) = task.batches(task.read_examples(config.train), 256, random.Random(1))
    seen: list[torch.Tensor] = []

    class Spy(torch.nn.Module):
        def forward(self, source: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            seen.append(source)
            return torch.zeros(len(source), len(task.labels))

    spy = Spy()
    task.loss(spy.train(), batch)
    task.loss(spy.eval(), batch)
    assert (seen[0][:, 0] == batch.source[:, 0]).all()
    assert (seen[0] != batch.source).any()
    assert ((seen[0] == batch.source) | batch.mask).all()
    assert (seen[1] == batch.source).all()


def test_texts_of_rare_labels_come_more_often() -> None:
    texts = [LabelledText([number], label) for number, label in enumerate([0] * 20 + [1] * 9 + [2])]
    again = Counter(text.label for text in repeat_rare(texts))
    assert again == {0: 20, 1: 9, 2: 3}  # the mean is 10


def test_a_long_text_loses_its_middle() -> None:
    assert cut_middle([1, 2, 3, 4, 5, 6], 4) == [1, 2, 5, 6]
    assert cut_middle([1, 2, 3, 4, 5, 6], 5) == [1, 2, 3, 5, 6]
    assert cut_middle([1, 2], 5) == [1, 2]


def test_labels_come_back_in_the_order_of_the_texts(config: TrainingConfig) -> None:
    task = ClassificationTraining(config)
    folder = config.output / "checkpoint"
    task.save(task.new_model(), folder)
    texts = [pair.source for pair in TEXTS[:5]]
    assert classify(folder, texts) == [classify(folder, [text])[0] for text in texts]
