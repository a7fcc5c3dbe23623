"""`seqway-models build`: TensorRT plans for variants that the repository has."""

from pathlib import Path
from typing import Annotated

import typer

from engine.commands import options as given
from engine.commands.terminal import EXPECTED, console, failure, stage, stoppable
from engine.contract.manifest import MANIFEST_FILE
from engine.export.repository import RepositoryError
from engine.export.tensorrt.plans import build_plans
from engine.export.variant_folder import place_on_gpu
from engine.runtime.batching.scheduler import MOST_ROWS

MaxRows = Annotated[
    int,
    typer.Option(
        min=1,
        max=MOST_ROWS,
        help="Rows that run at once (default: as in config.pbtxt).",
        show_default=False,
    ),
]


def build_command(
    variants: Annotated[list[str], typer.Argument(help="Such as en-fr_fp16.")],
    repository: given.Repository = given.REPOSITORY,
    compute_capability: given.Capabilities = "",
    max_rows: MaxRows = 0,
) -> None:
    """Build TensorRT plans from the graphs of variants, for each type of GPU."""
    try:
        folders = [_variant(repository, name) for name in variants]
        wish = given.plan_wish(compute_capability, max_rows)
        with stoppable():
            for folder in folders:
                for plan in build_plans(folder, wish, stage):
                    console.print(f"wrote {plan}", markup=False, highlight=False, soft_wrap=True)
                place_on_gpu(folder)
    except EXPECTED as error:
        raise failure(error) from error


def _variant(repository: Path, name: str) -> Path:
    folder = repository / name
    if not (folder / "1" / MANIFEST_FILE).is_file():
        raise RepositoryError(
            f"{repository} has no variant {name!r}; `seqway-models list` shows all."
        )
    return folder
