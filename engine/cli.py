"""`seqway-models`: builds corpora, trains, exports and reports."""

import json
import logging
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.logging import RichHandler
from rich.table import Table

from engine.export.exporter import PRECISIONS, ExportJob, Precision, export, measure_variant
from engine.export.gates import GateError
from engine.export.report import as_table, report_variant, transformers_greedy
from engine.export.variant import Serving
from engine.model.checkpoint import CheckpointError, load_checkpoint
from engine.model.families import pegasus
from engine.runtime.manifest import read_manifest
from engine.training.config import ConfigError, load_config
from engine.training.corpus import Pair, build_translation_corpus, load_pairs
from engine.training.debian import CorpusError
from engine.training.plot import plot_loss
from engine.training.trainer import Trainer

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)
console = Console()

Repository = Annotated[Path, typer.Option("--model-repository", help="Triton's model repository.")]
REPOSITORY = Path("model_repository")


@app.callback()
def _log() -> None:
    logging.basicConfig(
        level=logging.INFO,
        format="%(message)s",
        handlers=[RichHandler(console=Console(stderr=True), show_path=False)],
    )
    for noisy in ("httpx", "transformers"):
        logging.getLogger(noisy).setLevel(logging.ERROR)


@app.command()
def corpus(
    folder: Annotated[Path, typer.Argument(help="Where to write it.")] = Path("corpus"),
    target: Annotated[str, typer.Option(help="Language to translate to.")] = "fr",
) -> None:
    """Build the corpus of Debian's package descriptions (needs apt-get, not root)."""
    try:
        sizes = build_translation_corpus(folder, target)
    except CorpusError as error:
        raise _failure(error) from error
    for split, pairs in sizes.items():
        console.print(f"{split}: {pairs:,} pairs")


@app.command()
def train(config: Annotated[Path, typer.Argument(help="TOML file; see examples/configs.")]) -> None:
    """Train a model, or go on with a run that was stopped; then measure it on its test set."""
    try:
        settings = load_config(config)
    except ConfigError as error:
        raise _failure(error) from error
    for path in (settings.train, settings.dev, settings.test):
        if not path.exists():
            raise _failure(f"{path} does not exist: `make corpus` builds the example's corpus.")
    trainer = Trainer(settings)
    if not trainer.run():
        console.print(f"Stopped at step {trainer.step}; run the same command to go on.")
        raise typer.Exit(130)
    plot_loss(settings.output / "metrics.jsonl", settings.output / "loss.png")
    checkpoint = settings.output / "checkpoint"
    languages = (settings.source_language, settings.target_language)
    pegasus.save(trainer.best_model(), settings.output / "tokenizer.json", checkpoint, languages)
    test = load_pairs(settings.test)
    job = ExportJob(
        load_checkpoint(checkpoint),
        settings.output.name,
        languages,
        settings.output / "variants",
        calibration=[pair.source for pair in test[:8]],
    )
    quality = measure_variant(export(job, ["fp32"])[0] / "1", test)
    (settings.output / "quality.json").write_text(json.dumps(quality), encoding="utf-8")
    console.print(f"{checkpoint}: {quality} on {len(test)} test pairs (greedy, FP32)")


@app.command(name="export")
def export_command(
    checkpoint: Annotated[str, typer.Argument(help="A Hugging Face folder or hub id.")],
    repository: Repository = REPOSITORY,
    name: Annotated[str, typer.Option(help="The model's name (default: the folder's).")] = "",
    source: Annotated[str, typer.Option(help="Source language (default: config.json's).")] = "",
    target: Annotated[str, typer.Option(help="Target language (default: config.json's).")] = "",
    precision: Annotated[
        list[str] | None, typer.Option(help="fp32, int8; repeatable (default: all).")
    ] = None,
    calibration: Annotated[
        Path | None, typer.Option(help="Source texts for INT8: JSON Lines or one text a line.")
    ] = None,
    test: Annotated[Path | None, typer.Option(help="JSON Lines of pairs to measure on.")] = None,
    instances: Annotated[int, typer.Option(min=1, help="Processes of Triton's.")] = 1,
    lanes: Annotated[int, typer.Option(min=0, help="Batches of each; 0: one a core.")] = 0,
    threads: Annotated[
        int, typer.Option(min=1, help="ONNX Runtime's threads; 1: a lane works alone.")
    ] = 1,
) -> None:
    """Turn a checkpoint into variants of the model repository."""
    unknown = sorted(set(precision or ()) - set(PRECISIONS))
    if unknown:
        raise _failure(f"--precision {unknown[0]} is not one of {', '.join(PRECISIONS)}.")
    wanted: list[Precision] = [p for p in PRECISIONS if not precision or p in precision]
    try:
        loaded = load_checkpoint(checkpoint)
        languages = (source, target) if source and target else loaded.languages
        if languages is None:
            raise _failure(f"{checkpoint} does not tell its languages: give --source and --target.")
        job = ExportJob(
            checkpoint=loaded,
            name=name or Path(checkpoint).name,
            languages=languages,
            repository=repository,
            calibration=_calibration(calibration, wanted),
            test=_pairs(test) if test else (),
            serving=Serving(instances=instances, lanes=lanes, threads=threads),
        )
        for folder in export(job, wanted):
            console.print(f"wrote {folder}")
    except (CheckpointError, GateError) as error:
        raise _failure(error) from error


@app.command()
def report(
    model: Annotated[str, typer.Argument(help="A model of the repository, such as en-fr.")],
    repository: Repository = REPOSITORY,
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
        raise _failure(f"{repository} has no variant of {model!r}; `seqway-models list` shows all.")
    origin = checkpoint or Path("examples/checkpoints") / model
    if not origin.is_dir():
        raise _failure(f"{origin} does not exist: give the checkpoint's folder by --checkpoint.")
    pairs = _pairs(test or Path(f"examples/data/{model}.test.jsonl"))
    with console.status("transformers generates the reference"):
        texts = [pair.source for pair in pairs[:compare]]
        oracle = transformers_greedy(origin, texts, folders[0])
    reports = []
    for folder in folders:
        with console.status(f"running {folder.parent.name}"):
            reports.append(report_variant(folder, oracle, pairs))
    console.print(as_table(model, reports))


@app.command(name="list")
def list_command(repository: Repository = REPOSITORY) -> None:
    """List the variants of the model repository."""
    table = Table("variant", "task", "languages", "family", "limits (tokens)", "quality")
    for folder in sorted(repository.glob("*/1/manifest.json")):
        manifest = read_manifest(folder.parent)
        table.add_row(
            manifest.name,
            manifest.task,
            ", ".join("-".join(pair) for pair in manifest.language_pairs),
            manifest.family,
            f"{manifest.max_source_tokens} in, {manifest.max_target_tokens} out",
            ", ".join(f"{key} {value}" for key, value in manifest.quality.items())
            or "not measured",
        )
    console.print(table if table.row_count else f"{repository} holds no variant.")


def _calibration(path: Path | None, precisions: list[Precision]) -> list[str]:
    if path is None:
        if "int8" in precisions:
            raise _failure("int8 needs --calibration FILE: some hundred texts like the real ones.")
        return ["Hello, world."]
    if path.suffix == ".jsonl":
        return [pair.source for pair in _pairs(path)]
    try:
        return [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except OSError as error:
        raise _failure(f"{path} can't be read: {error}") from error


def _pairs(path: Path) -> list[Pair]:
    try:
        return load_pairs(path)
    except (OSError, ValueError, TypeError) as error:
        raise _failure(f"{path} is no file of pairs (source, target, package): {error}") from error


def _failure(reason: object) -> typer.Exit:
    Console(stderr=True).print(f"[red]error:[/red] {reason}", highlight=False, soft_wrap=True)
    return typer.Exit(1)
