"""`seqway-models import` and `export`: a checkpoint becomes variants of the model repository."""

from typing import Annotated

import typer

from engine.commands import options as given
from engine.commands.terminal import EXPECTED, console, failure, stage, stoppable
from engine.export.exporter import DEFAULT_PRECISIONS, MAX_LOSS
from engine.export.importer import ImportRequest, import_checkpoint
from engine.export.variant import Serving


def import_command(
    checkpoint: given.CheckpointArgument,
    task: given.TaskOption = "",
    source: given.Source = "",
    target: given.Target = "",
    variants: given.Variants = given.DEFAULT_VARIANTS,
    name: given.Name = "",
    template: given.Template = "",
    calibration: given.Calibration = None,
    test: given.Test = None,
    max_loss: given.MaxLoss = MAX_LOSS,
    tensorrt: given.TensorRT = False,
    compute_capability: given.Capabilities = "",
    revision: given.Revision = None,
    allow_pickle: given.AllowPickle = False,
    force: given.Force = False,
    repository: given.Repository = given.REPOSITORY,
    instances: given.Instances = 1,
    lanes: given.Lanes = 0,
    threads: given.Threads = 1,
) -> None:
    """Bring a checkpoint into the model repository: all variants, or none if one fails."""
    try:
        request = ImportRequest(
            checkpoint=checkpoint,
            repository=repository,
            task=given.read_task(task),
            source=source,
            target=target,
            variants=given.read_variants(variants),
            name=name,
            template=template,
            calibration=calibration,
            test=test,
            max_loss=max_loss,
            plans=given.read_plans(tensorrt, compute_capability),
            revision=revision,
            allow_pickle=allow_pickle,
            force=force,
            serving=Serving(instances=instances, lanes=lanes, threads=threads),
        )
        run_import(request)
    except EXPECTED as error:
        raise failure(error) from error


def run_import(request: ImportRequest) -> None:
    """Imports with progress on the terminal."""
    with stoppable():
        folders = import_checkpoint(request, stage)
    for folder in folders:
        console.print(f"wrote {folder}", markup=False, highlight=False, soft_wrap=True)


def export_command(
    checkpoint: given.CheckpointArgument,
    repository: given.Repository = given.REPOSITORY,
    name: given.Name = "",
    task: given.TaskOption = "",
    source: given.Source = "",
    target: given.Target = "",
    precision: Annotated[
        list[str] | None,
        typer.Option(help="fp32, fp16, bf16, int8; repeatable (default: fp32, int8)."),
    ] = None,
    calibration: given.Calibration = None,
    test: given.Test = None,
    max_loss: given.MaxLoss = MAX_LOSS,
    tensorrt: given.TensorRT = False,
    compute_capability: given.Capabilities = "",
    instances: given.Instances = 1,
    lanes: given.Lanes = 0,
    threads: given.Threads = 1,
) -> None:
    """Import a checkpoint anew: variants that exist already are replaced."""
    import_command(
        checkpoint,
        task=task,
        source=source,
        target=target,
        variants=",".join(precision or DEFAULT_PRECISIONS),
        name=name,
        calibration=calibration,
        test=test,
        max_loss=max_loss,
        tensorrt=tensorrt,
        compute_capability=compute_capability,
        force=True,
        repository=repository,
        instances=instances,
        lanes=lanes,
        threads=threads,
    )
