"""`seqway-models report` and `list`."""

import sys
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from engine.commands import options as given
from engine.commands.terminal import EXPECTED, console, failure
from engine.contract.manifest import Manifest, read_manifest
from engine.export.precision.recipes import PRECISIONS
from engine.export.report.answers import fits, left_out, machine
from engine.export.report.oracle import Output, oracle_answers, oracle_of
from engine.export.report.page import Setting, write_page
from engine.export.report.quality import FIGURES
from engine.export.report.variants import as_table, report_variant
from engine.export.repository import RepositoryError, stands
from engine.export.text_files import read_pairs
from engine.model.errors import counted, in_one_line
from engine.training.corpus import Pair

MOST_PAIRS = 4
"""Pairs of languages that `list` names; of more it gives the number."""


def report_command(
    model: Annotated[str, typer.Argument(help="A model of the repository, such as en-fr.")],
    repository: given.Repository = given.REPOSITORY,
    checkpoint: Annotated[
        Path | None, typer.Option(help="Default: examples/checkpoints/MODEL.")
    ] = None,
    test: Annotated[
        Path | None, typer.Option(help="Default: examples/data/MODEL.test.jsonl.")
    ] = None,
    compare: Annotated[
        int,
        typer.Option(min=0, help="Texts to compare with the checkpoint's own answers; 0: none."),
    ] = 200,
    output: Annotated[
        Path | None, typer.Option(help="The page to write (default: MODEL-report.html).")
    ] = None,
) -> None:
    """Write a page on what every variant gains and loses: quality, size, speed, answers."""
    names = [f"{model}_{precision}" for precision in PRECISIONS]
    try:
        folders = [repository / name / "1" for name in names if stands(repository, name)]
    except RepositoryError as error:
        raise failure(error) from error
    if not folders:
        raise failure(f"{repository} has no variant of {model!r}; `seqway-models list` shows all.")
    task = _read(folders[0]).task
    if task not in FIGURES:
        raise failure(f"{model} is for {task}, which pairs of texts can't measure.")
    origin = checkpoint or Path("examples/checkpoints") / model
    if not origin.is_dir():
        raise failure(f"{origin} does not exist: give the checkpoint's folder by --checkpoint.")
    try:
        kept = _fitting(folders[0], read_pairs(test or Path(f"examples/data/{model}.test.jsonl")))
        oracle = oracle_of(origin)
        expected = _expected(oracle, origin, [pair.source for pair in kept[:compare]], folders[0])
        reports = []
        for folder in folders:
            with console.status(f"running {folder.parent.name}"):
                reports.append(report_variant(folder, expected, kept))
    except EXPECTED as error:
        raise failure(error) from error
    console.print(as_table(model, reports, oracle))
    page = output or Path(f"{model}-report.html")
    sources, references = [pair.source for pair in kept], [pair.target for pair in kept]
    try:
        write_page(reports, sources, references, _setting(model, oracle), page)
    except OSError as error:
        raise failure(f"{page} can't be written: {error.strerror}.") from error
    console.print(f"wrote {page}", markup=False, highlight=False, soft_wrap=True)


def _setting(model: str, oracle: str) -> Setting:
    command = " ".join(["seqway-models", *sys.argv[1:]])
    versions = f"ONNX Runtime {version('onnxruntime')}"
    return Setting(model, machine(), f"{date.today():%Y-%m-%d}", command, versions, oracle)


def _fitting(folder: Path, pairs: list[Pair]) -> list[Pair]:
    """The pairs whose source the model takes as a whole."""
    fitting = fits(folder, [pair.source for pair in pairs])
    kept = [pair for pair, fit in zip(pairs, fitting, strict=True) if fit]
    if not kept:
        raise failure("every text of the test set is longer than the model takes.")
    if len(kept) < len(pairs):
        console.print(left_out(len(pairs) - len(kept), len(pairs)))
    return kept


def _expected(oracle: str, checkpoint: Path, texts: list[str], folder: Path) -> list[Output | None]:
    if not texts:
        return []
    try:
        with console.status(f"{oracle} makes the reference"):
            return oracle_answers(checkpoint, texts, folder)
    # A folder that is none of the checkpoint's fails in many ways.
    except Exception as error:
        reason = in_one_line(error)
        raise failure(f"{oracle} can't answer with {checkpoint}: {reason}") from error


def _read(folder: Path) -> Manifest:
    try:
        return read_manifest(folder)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise failure(f"{folder} holds no variant that can be read: {error}") from error


def list_command(repository: given.Repository = given.REPOSITORY) -> None:
    """List the variants of the model repository."""
    if not repository.is_dir():
        raise failure(f"{repository} is not a folder: import a checkpoint into it first.")
    table = Table("variant", "task", "languages or labels", "family", "limits (tokens)", "quality")
    for folder in sorted(repository.glob("*/1/manifest.json")):
        manifest = _read(folder.parent)
        made = f", {manifest.max_target_tokens} out" if manifest.kind == "seq2seq" else ""
        table.add_row(
            manifest.name,
            manifest.task,
            _scope(manifest),
            manifest.family,
            f"{manifest.max_source_tokens} in{made}",
            ", ".join(f"{key} {value}" for key, value in manifest.quality.items())
            or "not measured",
        )
    if table.row_count:
        console.print(table)
    else:
        console.print(f"{repository} holds no variant.", markup=False, soft_wrap=True)


def _scope(manifest: Manifest) -> str:
    if manifest.labels:
        labels = counted(len(manifest.labels), "label")
        return f"{labels}{', several at once' * manifest.multi_label}"
    if manifest.language_pairs:
        shown = ["-".join(pair) for pair in manifest.language_pairs[:MOST_PAIRS]]
        rest = len(manifest.language_pairs) - len(shown)
        return ", ".join([*shown, *([f"{rest} more"] if rest else [])])
    sources, targets = len(manifest.source_languages), len(manifest.target_languages)
    if sources == targets == 1:
        return manifest.source_languages[0]
    return f"{counted(sources, 'language')} to {targets}" if sources else ""
