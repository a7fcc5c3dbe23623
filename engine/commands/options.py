"""The options that `import`, `serve` and `export` share, and what they are read as."""

from pathlib import Path
from typing import Annotated, get_args

import platformdirs
import typer

from engine.export.exporter import DEFAULT_PRECISIONS
from engine.export.importer import ImportRequestError
from engine.export.precision.recipes import PRECISIONS, Precision
from engine.export.tensorrt.plans import PlanWish
from engine.runtime.manifest import Task

REPOSITORY = Path("model_repository")
DEFAULT_VARIANTS = ",".join(DEFAULT_PRECISIONS)

CheckpointArgument = Annotated[
    str, typer.Argument(metavar="ID_OR_FOLDER", help="A Hugging Face folder or hub id.")
]
Repository = Annotated[Path, typer.Option("--model-repository", help="Triton's model repository.")]
TaskOption = Annotated[
    str,
    typer.Option(
        "--task",
        help="translation, summarization, classification or question-answering (default: what the "
        "checkpoint was made for).",
    ),
]
Source = Annotated[
    str, typer.Option(help="Source language, BCP-47 or the checkpoint's own code (default: all).")
]
Target = Annotated[str, typer.Option(help="Target language (default: all).")]
Variants = Annotated[str, typer.Option(help=f"Of {', '.join(PRECISIONS)}, separated by commas.")]
Name = Annotated[str, typer.Option(help="The model's name (default: the checkpoint's).")]
Template = Annotated[
    str,
    typer.Option(help='Around each text, such as "summarize: {text}" (default: the family\'s).'),
]
Calibration = Annotated[
    Path | None, typer.Option(help="Source texts for INT8: JSON Lines or one text a line.")
]
MaxLoss = Annotated[
    float,
    typer.Option(
        min=0, help="Points of BLEU, ROUGE-L or accuracy that a variant may lose against fp32."
    ),
]
TensorRT = Annotated[bool, typer.Option("--tensorrt", help="Build TensorRT plans, too.")]
Capabilities = Annotated[
    str,
    typer.Option(
        "--compute-capability",
        help="GPUs to build plans for, such as 80,86,89 (default: the GPU of this machine).",
    ),
]
Test = Annotated[Path | None, typer.Option(help="JSON Lines of pairs to measure on.")]
Revision = Annotated[
    str | None, typer.Option(help="A branch, tag or commit of the hub's repository.")
]
AllowPickle = Annotated[
    bool,
    typer.Option("--allow-pickle", help="Load pytorch_model.bin where there is no safetensors."),
]
Force = Annotated[bool, typer.Option("--force", help="Replace variants that exist already.")]
Instances = Annotated[int, typer.Option(min=1, help="Processes of Triton's.")]
Lanes = Annotated[int, typer.Option(min=0, help="Batches of each; 0: one a core.")]
Threads = Annotated[int, typer.Option(min=1, help="ONNX Runtime's; 1: a lane works alone.")]


def read_task(text: str) -> Task | None:
    """The task of that name, None for "".

    Raises:
        ImportRequestError: there is no such task.

    """
    tasks: tuple[Task, ...] = get_args(Task)
    if not text:
        return None
    found = next((task for task in tasks if task == text), None)
    if found is None:
        raise ImportRequestError(f"--task {text} is not one of {', '.join(tasks)}.")
    return found


def read_plans(tensorrt: bool, capabilities: str) -> PlanWish | None:
    """The plans that are wished for, None for none.

    Raises:
        ImportRequestError: a compute capability is none.

    """
    asked = [part.strip() for part in capabilities.split(",") if part.strip()]
    if asked and not tensorrt:
        raise ImportRequestError("--compute-capability is for --tensorrt, which is not given.")
    return plan_wish(capabilities) if tensorrt else None


def plan_wish(capabilities: str, max_rows: int = PlanWish.max_rows) -> PlanWish:
    """Plans for these compute capabilities, with the timing caches of this user.

    Raises:
        ImportRequestError: a compute capability is none.

    """
    caches = platformdirs.user_cache_path("seqway") / "tensorrt"
    return PlanWish(read_capabilities(capabilities), max_rows, timing_caches=caches)


def read_capabilities(text: str) -> list[str]:
    """The compute capabilities of a list such as "80,8.9": "8.0" and "8.9".

    Raises:
        ImportRequestError: one is none.

    """
    found = []
    for part in (part.strip() for part in text.split(",") if part.strip()):
        digits = part.removeprefix("sm_").replace(".", "")
        if not (digits.isdecimal() and 2 <= len(digits) <= 3):
            raise ImportRequestError(f"{part!r} is no compute capability; 80, 86 and 89 are.")
        found.append(f"{digits[:-1]}.{digits[-1]}")
    return found


def read_variants(text: str) -> list[Precision]:
    """The precisions of a list such as "fp32,int8".

    Raises:
        ImportRequestError: one is not offered.

    """
    asked = [part.strip() for part in text.split(",") if part.strip()]
    for one in asked:
        if one not in PRECISIONS:
            raise ImportRequestError(f"{one!r} is no variant; these are: {', '.join(PRECISIONS)}.")
    if not asked:
        raise ImportRequestError(f"no variant is named; these are: {', '.join(PRECISIONS)}.")
    return [precision for precision in PRECISIONS if precision in asked]
