"""What a model's variants gain and lose: parity with `transformers`, quality, size, speed."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.table import Table
from transformers import AutoModelForSeq2SeqLM, AutoModelForSequenceClassification

from engine.contract.manifest import Manifest, read_manifest
from engine.export.confidence.reliability import Reliability, measure_reliability
from engine.export.precision.recipes import RECIPE_FILE, read_recipes
from engine.export.report.answers import likeliest_labels
from engine.export.report.quality import FIGURES, Quality, measure
from engine.export.report.speed import Speed, measure_speed
from engine.model.errors import counted
from engine.runtime.batch import TextAnswer, run_texts
from engine.runtime.decoding.settings import example_options, greedy_decoding
from engine.runtime.engine import Engine
from engine.runtime.sessions.tensorrt.plan import PlanManifest, plan_folders, read_plan
from engine.runtime.text.vocabulary import load_tokenizer, load_vocabulary
from engine.training.corpus import Pair

ORACLE_BATCH = 8

Output = tuple[int, ...] | str
"""The token ids of an answer, its end included, or the likeliest label."""


@dataclass(frozen=True)
class VariantReport:
    """One variant.

    `equal` of `compared` texts have the very answer of `transformers`: the tokens of its greedy
    generate, or the label. `changed_by_batching` of the test texts were answered otherwise alone
    than among 64. `answers` are the texts' answers, `recipes` and `kept` what is rounded and not,
    `plans` its TensorRT plans with their size in MB. `reliability` is that of its estimates of
    quality, None of a variant that makes none.
    """

    manifest: Manifest
    quality: Quality
    megabytes: float
    equal: int
    compared: int
    changed_by_batching: int
    texts: int
    speed: Speed
    answers: list[str]
    recipes: dict[str, dict[str, Any]]
    plans: list[tuple[PlanManifest, float]]
    reliability: Reliability | None

    @property
    def kept(self) -> list[tuple[str, str, str]]:
        """The layers kept in higher precision: graph, node and reason."""
        return [
            (graph, name, reason)
            for graph, recipe in self.recipes.items()
            for name, reason in {**recipe["not_int8"], **recipe["float32"]}.items()
        ]


def report_variant(
    folder: Path, oracle: Sequence[Output | None], test: Sequence[Pair]
) -> VariantReport:
    """Runs the test set through the variant whose files are in `folder`, batched and one by one.

    Where `oracle` has None, the answers are not compared.
    """
    manifest = read_manifest(folder)
    texts = [pair.source for pair in test]
    if manifest.kind == "encoder":
        answers = likeliest_labels(folder, texts)
        batched: list[Output] = [*answers]
        alone: list[Output] = [*likeliest_labels(folder, texts, in_flight=1)]
        reliability = None
    else:
        crowd = _generate(folder, manifest, texts, in_flight=64)
        answers, batched = [one.text for one in crowd], _tokens(crowd)
        alone = _tokens(_generate(folder, manifest, texts, in_flight=1))
        reliability = measure_reliability(folder, manifest, test, crowd)
    return VariantReport(
        manifest=manifest,
        quality=measure(manifest.task, answers, [pair.target for pair in test]),
        megabytes=_megabytes(folder),
        equal=sum(ours == theirs for ours, theirs in zip(batched, oracle, strict=False)),
        compared=sum(theirs is not None for theirs in oracle),
        changed_by_batching=sum(one != other for one, other in zip(batched, alone, strict=True)),
        texts=len(texts),
        speed=measure_speed(folder, texts),
        answers=answers,
        recipes=read_recipes(folder) if (folder / RECIPE_FILE).exists() else {},
        plans=[(read_plan(place), _megabytes(place)) for place in plan_folders(folder)],
        reliability=reliability,
    )


def _megabytes(folder: Path) -> float:
    return sum(file.stat().st_size for file in folder.iterdir() if file.is_file()) / 1e6


def _generate(
    folder: Path, manifest: Manifest, texts: Sequence[str], in_flight: int
) -> list[TextAnswer]:
    engine = Engine(folder)
    engine.start()
    try:
        options = example_options(manifest, token_ids=True, num_beams=1, stop_repetition=False)
        return run_texts(engine, texts, options, in_flight)
    finally:
        engine.stop()


def _tokens(answers: Sequence[TextAnswer]) -> list[Output]:
    return [tuple(answer.end.token_ids) for answer in answers]


@torch.no_grad()
def transformers_answers(
    checkpoint: Path, texts: Sequence[str], folder: Path
) -> list[Output | None]:
    """What `transformers` answers in FP32, a generating model greedily.

    The texts are tokenized with the vocabulary of the variant whose files are in `folder`. None
    stands for a text that is longer than a classifier's positions: we read it in windows, and
    `transformers` its start only.
    """
    manifest = read_manifest(folder)
    if manifest.kind == "encoder":
        return _labels(checkpoint, texts, folder, manifest)
    sources = load_vocabulary(folder, manifest).encode(texts, *manifest.example_languages)
    model = AutoModelForSeq2SeqLM.from_pretrained(checkpoint, dtype=torch.float32).eval()
    decoding = greedy_decoding(manifest)
    settings: dict[str, Any] = {
        "num_beams": 1,
        "do_sample": False,
        "max_new_tokens": decoding.max_new_tokens,
        "forced_bos_token_id": decoding.forced_bos_id,
        "decoder_start_token_id": decoding.start_id,
    }
    answers: list[Output | None] = []
    for first in range(0, len(sources), ORACLE_BATCH):
        ids, mask = _padded(sources[first : first + ORACLE_BATCH], manifest.pad_id)
        made = model.generate(input_ids=ids, attention_mask=mask, **settings)
        answers += [_until_end(row[1:], manifest.eos_id) for row in made.tolist()]
    return answers


def _labels(
    checkpoint: Path, texts: Sequence[str], folder: Path, manifest: Manifest
) -> list[Output | None]:
    tokenizer = load_tokenizer(folder)
    model = AutoModelForSequenceClassification.from_pretrained(checkpoint, dtype=torch.float32)
    answers: list[Output | None] = []
    for text in texts:
        ids = tokenizer.encode(text).ids
        if len(ids) > manifest.max_source_tokens:
            answers.append(None)
            continue
        logits = model.eval()(input_ids=torch.tensor([ids])).logits
        answers.append(manifest.labels[int(logits.argmax())])
    return answers


def _padded(rows: Sequence[list[int]], pad_id: int) -> tuple[torch.Tensor, torch.Tensor]:
    width = max(map(len, rows))
    ids = torch.tensor([row + [pad_id] * (width - len(row)) for row in rows])
    mask = torch.arange(width)[None] < torch.tensor([[len(row)] for row in rows])
    return ids, mask.long()


def _until_end(ids: list[int], eos_id: int) -> tuple[int, ...]:
    return tuple(ids[: ids.index(eos_id) + 1] if eos_id in ids else ids)


def as_table(model: str, reports: Sequence[VariantReport]) -> Table:
    """The reports as a table for a terminal, a column each, so that 80 characters hold them."""
    figures = FIGURES[reports[0].manifest.task]
    table = Table(title=f"{model}: variants on {counted(reports[0].texts, 'test text')}")
    table.add_column("")
    for report in reports:
        table.add_column(report.manifest.name, justify="right", overflow="fold")
    for figure, title in figures.items():
        table.add_row(title, *(f"{report.quality[figure]:.2f}" for report in reports))
    for heading, cells in (
        ("equal to transformers", [f"{one.equal} of {one.compared}" for one in reports]),
        ("changed by batching", [f"{one.changed_by_batching} of {one.texts}" for one in reports]),
        ("files, MB", [f"{one.megabytes:.1f}" for one in reports]),
        ("memory, MB", [f"{one.speed.megabytes:.0f}" for one in reports]),
        ("p50, ms", [f"{one.speed.p50_ms:.1f}" for one in reports]),
        ("texts/s", [f"{one.speed.texts_per_second:.0f}" for one in reports]),
    ):
        table.add_row(heading, *cells)
    if any(one.reliability for one in reports):
        cells = [f"{one.reliability.spearman:.2f}" if one.reliability else "–" for one in reports]
        table.add_row("confidence, Spearman", *cells)
    return table
