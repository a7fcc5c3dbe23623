"""Measures a checkpoint through `transformers`."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from rouge_score.rouge_scorer import RougeScorer
from sklearn.metrics import accuracy_score, f1_score
from transformers import (
    AutoConfig,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
)

from engine.training.corpus import Pair

BATCH = 32


def measure_checkpoint(folder: Path, pairs: Sequence[Pair]) -> dict[str, float]:
    """ROUGE of a generating checkpoint (greedy), accuracy and macro-F1 of a classifier; FP32."""
    sources, targets = [p.source for p in pairs], [p.target for p in pairs]
    if AutoConfig.from_pretrained(folder).is_encoder_decoder:
        return rouge(targets, summarize(folder, sources))
    return accuracy(targets, classify(folder, sources))


def summarize(folder: Path, texts: Sequence[str]) -> list[str]:
    """Greedy outputs for texts, which are cut at the model's positions."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSeq2SeqLM.from_pretrained(folder, dtype=torch.float32).eval()

    def generate(batch: list[str]) -> list[str]:
        outputs = model.generate(**_encode(tokenizer, batch))
        return list(tokenizer.batch_decode(outputs, skip_special_tokens=True))

    return _in_batches(texts, generate)


def classify(folder: Path, texts: Sequence[str]) -> list[str]:
    """The likeliest label of each text; texts are cut at the model's positions."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()

    def label(batch: list[str]) -> list[str]:
        best = model(**_encode(tokenizer, batch)).logits.argmax(-1)
        return [model.config.id2label[number] for number in best.tolist()]

    return _in_batches(texts, label)


def rouge(references: Sequence[str], outputs: Sequence[str]) -> dict[str, float]:
    """Mean F-measures in percent, as `rouge-score` has them, with stemming (Lin 2004)."""
    names = ["rouge1", "rouge2", "rougeL"]
    scorer = RougeScorer(names, use_stemmer=True)
    rows = [scorer.score(r, o) for r, o in zip(references, outputs, strict=True)]
    return {
        name: round(100 * sum(row[name].fmeasure for row in rows) / len(rows), 2) for name in names
    }


def accuracy(references: Sequence[str], outputs: Sequence[str]) -> dict[str, float]:
    """Accuracy and macro-F1 in percent; the mean F1 is over the labels of the references."""
    f1 = f1_score(
        references, outputs, labels=sorted(set(references)), average="macro", zero_division=0
    )
    return {
        "accuracy": round(100 * float(accuracy_score(references, outputs)), 2),
        "macro_f1": round(100 * float(f1), 2),
    }


@torch.inference_mode()
def _in_batches(texts: Sequence[str], work: Callable[[list[str]], list[str]]) -> list[str]:
    """`work` on batches of similar length, its results in the order of `texts`."""
    order = sorted(range(len(texts)), key=lambda number: len(texts[number]))
    results = [""] * len(texts)
    for numbers in _chunks(order):
        for number, result in zip(numbers, work([texts[n] for n in numbers]), strict=True):
            results[number] = result
    return results


def _chunks(order: list[int]) -> Iterator[list[int]]:
    for start in range(0, len(order), BATCH):
        yield order[start : start + BATCH]


def _encode(tokenizer: Any, texts: list[str]) -> dict[str, torch.Tensor]:
    encoded = tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
    return {name: encoded[name] for name in ("input_ids", "attention_mask")}
