"""The options that `import`, `export` and `serve` share: one `ImportRequest`."""

from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from engine.commands.options import REPOSITORY, Capabilities, Repository, plan_wish
from engine.commands.terminal import EXPECTED, failure
from engine.contract.manifest import Task
from engine.export.exporter import DEFAULT_PRECISIONS, MAX_LOSS
from engine.export.importer import ImportRequest, ImportRequestError, ShortlistMode
from engine.export.precision.recipes import PRECISIONS, Precision
from engine.export.tensorrt.plans import PlanWish
from engine.export.variant_folder import Serving
from engine.parallel.layout import Layout
from engine.runtime.batching.scheduler import MOST_ROWS, MOST_TOKENS, TOKEN_BUDGET, Limits


def with_request(command: Callable[[ImportRequest], None]) -> Callable[..., None]:
    """The command with the options of `read_request`; an expected error is one sentence."""

    @wraps(read_request)
    def run(**given: Any) -> None:
        try:
            command(read_request(**given))
        except EXPECTED as error:
            raise failure(error) from error

    run.__doc__ = command.__doc__
    return run


def read_request(
    checkpoint: Annotated[
        str, typer.Argument(metavar="ID_OR_FOLDER", help="A Hugging Face folder or hub id.")
    ],
    task: Annotated[
        str,
        typer.Option(
            help="translation, summarization, classification or question-answering (default: what "
            "the checkpoint was made for).",
        ),
    ] = "",
    source: Annotated[
        str,
        typer.Option(
            help="Source language, BCP-47 or the checkpoint's own code, or several between commas "
            "(default: all)."
        ),
    ] = "",
    target: Annotated[str, typer.Option(help="Target language (default: all).")] = "",
    precision: Annotated[
        list[str] | None,
        typer.Option(
            help=f"Of {', '.join(PRECISIONS)}: several with commas, or the option several times "
            f"(default: {','.join(DEFAULT_PRECISIONS)})."
        ),
    ] = None,
    variants: Annotated[list[str] | None, typer.Option(hidden=True)] = None,
    name: Annotated[str, typer.Option(help="The model's name (default: the checkpoint's).")] = "",
    template: Annotated[
        str,
        typer.Option(
            help='Around each text, such as "summarize: {text}" (default: the family\'s).'
        ),
    ] = "",
    calibration: Annotated[
        Path | None, typer.Option(help="Source texts for INT8: JSON Lines or one text a line.")
    ] = None,
    test: Annotated[Path | None, typer.Option(help="JSON Lines of pairs to measure on.")] = None,
    max_loss: Annotated[
        float,
        typer.Option(
            min=0,
            help="Points of BLEU, ROUGE-L or accuracy that a variant may lose against fp32.",
        ),
    ] = MAX_LOSS,
    tensorrt: Annotated[
        bool, typer.Option("--tensorrt", help="Build TensorRT plans, too.")
    ] = False,
    compute_capability: Capabilities = "",
    shortlist: Annotated[
        str,
        typer.Option(
            help="file: only the tokens that the checkpoint's lex.*.bin allows, which changes a "
            "few answers; exact: the tokens that may be the best by an estimate of an INT8 head, "
            "which changes none.",
        ),
    ] = "",
    revision: Annotated[
        str | None, typer.Option(help="A branch, tag or commit of the hub's repository.")
    ] = None,
    allow_pickle: Annotated[
        bool,
        typer.Option("--allow-pickle", help="Load pytorch_model.bin if there are no safetensors."),
    ] = False,
    force: Annotated[
        bool,
        typer.Option("--force", help="Replace variants that exist already; `export` always does."),
    ] = False,
    repository: Repository = REPOSITORY,
    instances: Annotated[int, typer.Option(min=1, help="Triton processes.")] = 1,
    lanes: Annotated[
        int, typer.Option(min=0, help="Batches that each process decodes at once; 0: one a core.")
    ] = 0,
    threads: Annotated[int, typer.Option(min=1, help="ONNX Runtime threads of each lane.")] = 1,
    max_rows: Annotated[
        int,
        typer.Option(
            min=1, max=MOST_ROWS, help="Texts, or beams of them, that each lane decodes at once."
        ),
    ] = Limits.max_rows,
    token_budget: Annotated[
        int,
        typer.Option(
            min=0,
            max=MOST_TOKENS,
            help=f"Tokens of those at once; 0: {TOKEN_BUDGET}, on a GPU what its memory holds.",
        ),
    ] = 0,
    parallel: Annotated[
        str,
        typer.Option(
            help="Devices for a model that generates, such as tp=2,sp=1,dp=2: how many share the "
            "weights (tp) and each source (sp), and how many such groups serve side by side (dp)."
        ),
    ] = "",
) -> ImportRequest:
    """What the command line asks for.

    Raises:
        ImportRequestError: an option makes no sense.

    """
    named = (precision or []) + (variants or [])  # --variants is the old spelling
    return ImportRequest(
        checkpoint=checkpoint,
        repository=repository,
        task=_read_task(task),
        source=source,
        target=target,
        variants=_read_precisions(named) if named else DEFAULT_PRECISIONS,
        name=name,
        template=template,
        calibration=calibration,
        test=test,
        max_loss=max_loss,
        plans=_read_plans(tensorrt, compute_capability, max_rows),
        shortlist=_read_shortlist(shortlist),
        revision=revision,
        allow_pickle=allow_pickle,
        force=force,
        serving=Serving(
            instances=instances,
            lanes=lanes,
            threads=threads,
            max_rows=max_rows,
            token_budget=token_budget,
            parallel=_read_layout(parallel, instances, lanes),
        ),
    )


def _read_task(text: str) -> Task | None:
    """The task of that name, None for ""."""
    tasks: tuple[Task, ...] = get_args(Task)
    found = next((task for task in tasks if task == text), None)
    if text and found is None:
        raise ImportRequestError(f"--task {text} is not one of {', '.join(tasks)}.")
    return found


def _read_shortlist(text: str) -> ShortlistMode | None:
    modes: tuple[ShortlistMode, ...] = get_args(ShortlistMode)
    if text and text not in modes:
        raise ImportRequestError(f"--shortlist {text} is not one of {', '.join(modes)}.")
    return next((mode for mode in modes if mode == text), None)


def _read_layout(text: str, instances: int, lanes: int) -> Layout:
    try:
        layout = Layout.parse(text) if text else Layout()
    except ValueError as error:
        raise ImportRequestError(f"--parallel: {error}") from error
    if layout.ranks > 1 and instances > 1:
        raise ImportRequestError(
            f"--parallel {layout} has one instance, which is the front of all devices: leave "
            "--instances out."
        )
    if layout.group > 1 and lanes > 1:
        raise ImportRequestError(
            f"a group of --parallel {layout} has one lane, whose ranks work together: leave "
            "--lanes out."
        )
    return layout


def _read_plans(tensorrt: bool, capabilities: str, max_rows: int) -> PlanWish | None:
    if capabilities.strip(" ,") and not tensorrt:
        raise ImportRequestError("--compute-capability needs --tensorrt.")
    return plan_wish(capabilities, max_rows) if tensorrt else None


def _read_precisions(texts: Sequence[str]) -> list[Precision]:
    """The precisions of lists such as "fp32,int8"."""
    asked = [part.strip() for text in texts for part in text.split(",") if part.strip()]
    unknown = [one for one in asked if one not in PRECISIONS]
    if unknown or not asked:
        problem = f"unknown precision {unknown[0]!r}" if unknown else "--precision names none"
        raise ImportRequestError(f"{problem}; choose from {', '.join(PRECISIONS)}.")
    return [precision for precision in PRECISIONS if precision in asked]
