"""Manifests for the twin, one for each kind of model."""

from typing import Any

from engine.contract.manifest import Manifest
from engine.contract.quality import ExpectedLength, QualityModel

COMMON: dict[str, Any] = {
    "family": "twin",
    "checkpoint_sha256": "",
    "tokenizer_sha256": "",
    "max_source_tokens": 512,
    "vocab_size": 100,
    "pad_id": 0,
}

QUALITY_MODEL = QualityModel(bias=1.0, length=ExpectedLength(1.0, 1.0), weights={"doubt": 2.0})

LABELS = ("games", "libs", "science")


def manifest_of(precision: str = "int8", base_model: str = "en-fr") -> Manifest:
    """A model of one language pair."""
    source, target = base_model.split("-")
    return Manifest(
        name=f"{base_model}_{precision}",
        base_model=base_model,
        task="translation",
        language_pairs=((source, target),),
        precision=precision,
        **COMMON,
        max_target_tokens=256,
        quality={"bleu": 30.1},
    )


def many_to_many(base_model: str = "world") -> Manifest:
    """A model of many languages."""
    return Manifest(
        name=f"{base_model}_fp32",
        base_model=base_model,
        task="translation",
        source_languages=("en", "de", "es", "pt-BR"),
        target_languages=("en", "de", "es", "pt-BR"),
        precision="fp32",
        **COMMON,
        max_target_tokens=256,
        generation={"num_beams": 4, "early_stopping": True, "bad_words": [[7]]},
    )


def summarizer(base_model: str = "summary") -> Manifest:
    """A model that keeps every eighth word."""
    return Manifest(
        name=f"{base_model}_fp32",
        base_model=base_model,
        task="summarization",
        precision="fp32",
        **COMMON,
        max_target_tokens=512,
        generation={"min_new_tokens": 48, "max_new_tokens": 128},
    )


def classifier(base_model: str = "section", *, multi_label: bool = False) -> Manifest:
    """A model that counts the names of its labels."""
    return Manifest(
        name=f"{base_model}_fp32",
        base_model=base_model,
        kind="encoder",
        task="classification",
        head="classification",
        labels=LABELS,
        multi_label=multi_label,
        precision="fp32",
        **COMMON,
    )


def extractor(base_model: str = "spans") -> Manifest:
    """A model whose answers are the words behind the last word of the question."""
    return Manifest(
        name=f"{base_model}_fp32",
        base_model=base_model,
        kind="encoder",
        task="question-answering",
        head="spans",
        precision="fp32",
        **COMMON,
    )


def generative_answerer(base_model: str = "answer") -> Manifest:
    """A model that says what stands behind the first "is" of the context, else a short "?"."""
    return Manifest(
        name=f"{base_model}_fp32",
        base_model=base_model,
        task="question-answering",
        template="q: {question} c: {context}",
        precision="fp32",
        **COMMON,
        max_target_tokens=128,
    )
