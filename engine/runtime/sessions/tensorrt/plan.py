"""The plans of a variant: where they lie, what they were built for, and whether they are whole.

`<variant>/1/plans/sm_89/` has a plan for each graph and `plan.json`, a `PlanManifest`.  A plan runs
on the type of GPU and with the TensorRT that it was built for, and nowhere else.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path

PLAN_FILE = "plan.json"
FOLDER = "plans"

ENCODER_PLAN, STEP_PLAN, CHOICE_PLAN = "encoder.plan", "decoder_step.plan", "decoder_choice.plan"
"""Of a generating variant: a step where all rows take the most probable token, and any other."""


class PlanError(RuntimeError):
    """A plan can't be built or used; the message says why, and what to do."""


@dataclass(frozen=True)
class PlanManifest:
    """What was built: `files` are plans' names with their SHA-256, `graphs` those of their sources.

    `compute_capability` is the GPU's, such as "8.9". A step has room for `cache_length` positions;
    plans take up to `max_rows` rows and sources of up to `max_source` tokens. `matmuls` counts the
    products of each plan by the type that they are computed in. An encoder of sources takes
    `encoder_rows` rows.
    """

    variant: str
    precision: str
    flavour: str
    version: str
    compute_capability: str
    files: dict[str, str]
    graphs: dict[str, str]
    max_rows: int
    encoder_rows: int
    max_source: int
    cache_length: int
    matmuls: dict[str, dict[str, int]]


def plan_folder(compute_capability: str) -> str:
    """The name of the folder for a compute capability: "8.9" gives "sm_89"."""
    return f"sm_{compute_capability.replace('.', '')}"


def plan_folders(variant: Path) -> list[Path]:
    """The folders with plans in a variant's folder, one for each compute capability."""
    return sorted((variant / FOLDER).glob("sm_*"))


def read_plan(folder: Path) -> PlanManifest:
    """The manifest in a folder of plans.

    Raises:
        PlanError: there is none that can be read.

    """
    path = folder / PLAN_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return PlanManifest(**{key.name: content[key.name] for key in fields(PlanManifest)})
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise PlanError(f"{path} can't be read ({error!r}): build the plans again.") from error


def write_plan(manifest: PlanManifest, folder: Path) -> None:
    """Writes the manifest into the folder of its plans."""
    text = json.dumps(asdict(manifest), indent=1) + "\n"
    (folder / PLAN_FILE).write_text(text, encoding="utf-8")


def plans_for(variant: Path, compute_capability: str) -> Path:
    """The folder of the plans in a variant's folder for GPUs of a compute capability.

    Raises:
        PlanError: there is none; the message tells for which there are.

    """
    folder = variant / FOLDER / plan_folder(compute_capability)
    if folder.is_dir():
        return folder
    others = [path.name for path in plan_folders(variant)]
    raise PlanError(
        f"{variant} is to run on a GPU of compute capability {compute_capability}, and has "
        f"TensorRT plans for {', '.join(others) or 'none'}: run {_build(compute_capability)}, or "
        "have instance_group in config.pbtxt say KIND_CPU."
    )


def _build(compute_capability: str) -> str:
    return f"`seqway-models build --compute-capability {compute_capability.replace('.', '')}`"


def require_plan(
    variant: Path, flavour: str, version: str, compute_capability: str
) -> tuple[Path, PlanManifest]:
    """The folder of the plans in a variant's folder that run here, checked; and their manifest.

    Raises:
        PlanError: they were built for another GPU or TensorRT, from another graph, or are damaged.

    """
    folder = plans_for(variant, compute_capability)
    build = _build(compute_capability)
    manifest = read_plan(folder)
    if (manifest.flavour, manifest.version) != (flavour, version):
        raise PlanError(
            f"{folder} was built with {manifest.flavour} {manifest.version}, and {flavour} "
            f"{version} runs here: run {build}."
        )
    if manifest.compute_capability != compute_capability:
        raise PlanError(
            f"{folder} was built for compute capability {manifest.compute_capability}, and this "
            f"GPU has {compute_capability}: run {build}."
        )
    for name, digest in manifest.graphs.items():
        if sha256(variant / name) != digest:
            raise PlanError(f"{folder} was built from another {name} than the variant's: {build}.")
    for name, digest in manifest.files.items():
        if sha256(folder / name) != digest:
            raise PlanError(f"{folder / name} is damaged or missing: run {build}.")
    return folder, manifest


def sha256(path: Path) -> str:
    """The SHA-256 of a file, "" if it can't be read."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return ""
