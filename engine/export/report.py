"""What a model's variants gain and lose: parity with `transformers`, quality, size."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.table import Table
from transformers import AutoModelForSeq2SeqLM

from engine.export.quality import measure
from engine.runtime.batch import Answer, run_texts
from engine.runtime.engine import Engine
from engine.runtime.manifest import Manifest, read_manifest
from engine.runtime.request import Options
from engine.runtime.vocabulary import load_vocabulary
from engine.training.corpus import Pair

ORACLE_BATCH = 8


@dataclass(frozen=True)
class VariantReport:
    """One variant.

    `equal` of `compared` texts have the very tokens of `transformers`' greedy generate;
    `changed_by_batching` of the test texts were answered otherwise alone than among 64.
    """

    manifest: Manifest
    quality: dict[str, float]
    megabytes: float
    equal: int
    compared: int
    changed_by_batching: int
    texts: int


def report_variant(
    folder: Path, oracle: Sequence[list[int]], test: Sequence[Pair]
) -> VariantReport:
    """Runs the test set through the variant whose files are in `folder`, batched and one by one."""
    texts = [pair.source for pair in test]
    engine = Engine(folder)
    engine.start()
    try:
        batched = run_texts(engine, texts, Options(stream=False, token_ids=True))
        alone = run_texts(engine, texts, Options(stream=False, token_ids=True), in_flight=1)
    finally:
        engine.stop()
    return VariantReport(
        manifest=read_manifest(folder),
        quality=measure([answer.text for answer in batched], [pair.target for pair in test]),
        megabytes=sum(file.stat().st_size for file in folder.iterdir()) / 1e6,
        equal=sum(_ids(a) == ids for a, ids in zip(batched, oracle, strict=False)),
        compared=len(oracle),
        changed_by_batching=sum(_ids(a) != _ids(b) for a, b in zip(batched, alone, strict=True)),
        texts=len(texts),
    )


def _ids(answer: Answer) -> list[int]:
    return list(answer.end.token_ids)


@torch.no_grad()
def transformers_greedy(checkpoint: Path, texts: Sequence[str], folder: Path) -> list[list[int]]:
    """The tokens that `transformers` generates greedily in FP32, each answer's end included.

    The texts are tokenized with the variant's vocabulary, whose files are in `folder`.
    """
    manifest = read_manifest(folder)
    sources = load_vocabulary(folder, manifest.vocab_size).encode(texts)
    model = AutoModelForSeq2SeqLM.from_pretrained(checkpoint, dtype=torch.float32).eval()
    answers: list[list[int]] = []
    for start in range(0, len(sources), ORACLE_BATCH):
        batch = sources[start : start + ORACLE_BATCH]
        width = max(map(len, batch))
        ids = torch.tensor([s + [manifest.pad_id] * (width - len(s)) for s in batch])
        mask = torch.arange(width)[None] < torch.tensor([[len(s)] for s in batch])
        made = model.generate(
            input_ids=ids,
            attention_mask=mask.long(),
            num_beams=1,
            do_sample=False,
            max_new_tokens=manifest.max_target_tokens,
        )
        answers += [_until_end(row[1:], manifest.eos_id) for row in made.tolist()]
    return answers


def _until_end(ids: list[int], eos_id: int) -> list[int]:
    return ids[: ids.index(eos_id) + 1] if eos_id in ids else ids


def as_table(model: str, reports: Sequence[VariantReport]) -> Table:
    """The reports as a table for a terminal."""
    table = Table(title=f"{model}: variants on {reports[0].texts} test texts, greedy")
    for heading in (
        "variant",
        "BLEU",
        "chrF",
        "equal to transformers",
        "changed by batching",
        "MB",
    ):
        table.add_column(heading, justify="left" if heading == "variant" else "right")
    for report in reports:
        table.add_row(
            report.manifest.name,
            f"{report.quality['bleu']:.2f}",
            f"{report.quality['chrf']:.2f}",
            f"{report.equal} of {report.compared}",
            f"{report.changed_by_batching} of {report.texts}",
            f"{report.megabytes:.1f}",
        )
    return table
