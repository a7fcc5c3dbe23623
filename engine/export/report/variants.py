"""What a model's variants gain and lose: parity with an oracle, quality, size, speed."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from engine.contract.manifest import Manifest, read_manifest
from engine.export.confidence.reliability import Reliability, measure_reliability
from engine.export.precision.recipes import RECIPE_FILE, read_recipes
from engine.export.report.answers import likeliest_labels
from engine.export.report.oracle import Output
from engine.export.report.quality import FIGURES, Quality, measure
from engine.export.report.speed import Speed, measure_speed
from engine.model.errors import counted
from engine.runtime.batch import TextAnswer, run_texts
from engine.runtime.decoding.settings import example_options
from engine.runtime.engine import Engine
from engine.runtime.sessions.tensorrt.plan import PlanManifest, plan_folders, read_plan
from engine.training.corpus import Pair


@dataclass(frozen=True)
class VariantReport:
    """One variant.

    `equal` of `compared` texts have the very answer of the oracle: the tokens that it takes
    greedily, or the label. `changed_by_batching` of the test texts were answered otherwise alone
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


def as_table(model: str, reports: Sequence[VariantReport], oracle: str) -> Table:
    """The reports as a table for a terminal, a column each, so that 80 characters hold them."""
    figures = FIGURES[reports[0].manifest.task]
    table = Table(title=f"{model}: variants on {counted(reports[0].texts, 'test text')}")
    table.add_column("")
    for report in reports:
        table.add_column(report.manifest.name, justify="right", overflow="fold")
    for figure, title in figures.items():
        table.add_row(title, *(f"{report.quality[figure]:.2f}" for report in reports))
    for heading, cells in (
        (f"equal to {oracle}", [f"{one.equal} of {one.compared}" for one in reports]),
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
