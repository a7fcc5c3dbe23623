"""The options that several commands share, and what they are read as."""

from pathlib import Path
from typing import Annotated

import platformdirs
import typer

from engine.export.importer import ImportRequestError
from engine.export.tensorrt.plans import PlanWish

REPOSITORY = Path("model_repository")

Repository = Annotated[Path, typer.Option("--model-repository", help="Triton's model repository.")]
Capabilities = Annotated[
    str,
    typer.Option(
        "--compute-capability",
        help="GPUs to build plans for, such as 80,86,89 (default: the GPU of this machine).",
    ),
]


def plan_wish(capabilities: str, max_rows: int = PlanWish.max_rows) -> PlanWish:
    """Plans for these compute capabilities, with the timing caches of this user.

    Raises:
        ImportRequestError: a compute capability is malformed.

    """
    caches = platformdirs.user_cache_path("seqway") / "tensorrt"
    return PlanWish(_read_capabilities(capabilities), max_rows, timing_caches=caches)


def _read_capabilities(text: str) -> list[str]:
    """The compute capabilities of a list such as "80,8.9": "8.0" and "8.9"."""
    found = []
    for part in (part.strip() for part in text.split(",") if part.strip()):
        digits = part.removeprefix("sm_").replace(".", "")
        if not (digits.isdecimal() and 2 <= len(digits) <= 3):
            raise ImportRequestError(f"{part!r} is not a compute capability such as 80 or 8.9.")
        found.append(f"{digits[:-1]}.{digits[-1]}")
    return found
