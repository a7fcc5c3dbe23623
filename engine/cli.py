"""`seqway-models`: imports and serves checkpoints, trains, reports."""

import json
import logging
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.logging import RichHandler

from engine.commands.capacity import plan_command
from engine.commands.checkpoints import export_command, import_command
from engine.commands.plans import build_command
from engine.commands.report import list_command, report_command
from engine.commands.server import serve_command
from engine.commands.simulation import simulate_command
from engine.commands.terminal import console, failure
from engine.export.exporter import ExportJob, export
from engine.export.report.measurement import measure_variant
from engine.model.checkpoint import load_checkpoint
from engine.training.config import ConfigError, load_config
from engine.training.corpus import load_pairs
from engine.training.evaluation import measure_checkpoint
from engine.training.plot import plot_loss
from engine.training.trainer import Trainer

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)


@app.callback()
def _log() -> None:
    logging.basicConfig(
        level=logging.INFO,
        format="%(message)s",
        handlers=[RichHandler(console=Console(stderr=True), show_path=False)],
    )
    for noisy in ("absl", "httpx", "httpx2", "huggingface_hub", "transformers"):
        logging.getLogger(noisy).setLevel(logging.ERROR)


@app.command()
def train(config: Annotated[Path, typer.Argument(help="TOML file; see examples/configs.")]) -> None:
    """Train a model, or go on with a run that was stopped; then measure it on its test set."""
    try:
        settings = load_config(config)
    except ConfigError as error:
        raise failure(error) from error
    for path in (settings.train, settings.dev, settings.test):
        if not path.exists():
            raise failure(f"{path} does not exist: `make corpus` builds the example's corpus.")
    trainer = Trainer(settings)
    if not trainer.run():
        console.print(f"Stopped at step {trainer.step}; run the same command to go on.")
        raise typer.Exit(130)
    plot_loss(settings.output / "metrics.jsonl", settings.output / "loss.png")
    checkpoint = settings.output / "checkpoint"
    trainer.task.save(trainer.best_model(), checkpoint)
    test = load_pairs(settings.test)
    if settings.languages is None:
        console.print(f"{checkpoint}: {measure_checkpoint(checkpoint, test)} on {len(test)} texts")
        return
    job = ExportJob(
        load_checkpoint(checkpoint),
        settings.output.name,
        settings.languages,
        settings.output / "variants",
        calibration=[pair.source for pair in test[:8]],
    )
    quality = measure_variant(export(job, ["fp32"])[0] / "1", test).quality
    (settings.output / "quality.json").write_text(json.dumps(quality), encoding="utf-8")
    console.print(f"{checkpoint}: {quality} on {len(test)} test pairs (greedy, FP32)")


app.command(name="import")(import_command)
app.command(name="serve")(serve_command)
app.command(name="export")(export_command)
app.command(name="build")(build_command)
app.command(name="report")(report_command)
app.command(name="list")(list_command)
app.command(name="plan")(plan_command)
app.command(name="simulate")(simulate_command)
