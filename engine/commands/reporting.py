"""`seqway-models report` and `list`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from engine.commands import options as given
from engine.commands.terminal import console, failure
from engine.export.answers import fits
from engine.export.importer import ImportRequestError, read_pairs
from engine.export.quality import FIGURES
from engine.export.report import as_table, report_variant, transformers_answers
from engine.runtime.manifest import Manifest, read_manifest

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
    compare: Annotated[int, typer.Option(help="Texts to compare with transformers.")] = 200,
) -> None:
    """Print quality, parity with transformers and independence of the batch, of every variant."""
    folders = sorted(path for path in repository.glob(f"{model}_*/1") if path.is_dir())
    if not folders:
        raise failure(f"{repository} has no variant of {model!r}; `seqway-models list` shows all.")
    task = read_manifest(folders[0]).task
    if task not in FIGURES:
        raise failure(f"{model} is for {task}, which pairs of texts can't measure.")
    origin = checkpoint or Path("examples/checkpoints") / model
    if not origin.is_dir():
        raise failure(f"{origin} does not exist: give the checkpoint's folder by --checkpoint.")
    try:
        pairs = read_pairs(test or Path(f"examples/data/{model}.test.jsonl"))
    except ImportRequestError as error:
        raise failure(error) from error
    fitting = fits(folders[0], [pair.source for pair in pairs])
    kept = [pair for pair, fit in zip(pairs, fitting, strict=True) if fit]
    if len(kept) < len(pairs):
        console.print(f"{len(pairs) - len(kept)} of {len(pairs)} test texts are too long: left out")
    with console.status("transformers makes the reference"):
        oracle = transformers_answers(origin, [pair.source for pair in kept[:compare]], folders[0])
    reports = []
    for folder in folders:
        with console.status(f"running {folder.parent.name}"):
            reports.append(report_variant(folder, oracle, kept))
    console.print(as_table(model, reports))


def list_command(repository: given.Repository = given.REPOSITORY) -> None:
    """List the variants of the model repository."""
    table = Table("variant", "task", "languages or labels", "family", "limits (tokens)", "quality")
    for folder in sorted(repository.glob("*/1/manifest.json")):
        manifest = read_manifest(folder.parent)
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
    console.print(table if table.row_count else f"{repository} holds no variant.")


def _scope(manifest: Manifest) -> str:
    if manifest.labels:
        return f"{len(manifest.labels)} labels{', several at once' * manifest.multi_label}"
    if manifest.language_pairs:
        shown = ["-".join(pair) for pair in manifest.language_pairs[:MOST_PAIRS]]
        rest = len(manifest.language_pairs) - len(shown)
        return ", ".join([*shown, *([f"{rest} more"] if rest else [])])
    sources, targets = len(manifest.source_languages), len(manifest.target_languages)
    if sources == targets == 1:
        return manifest.source_languages[0]
    return f"{sources} languages to {targets}" if sources else ""
