"""The plans of a variant: typed graphs from its files, built for each type of GPU, and checked."""

import hashlib
import logging
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.contract.manifest import Manifest, read_manifest
from engine.export.tensorrt.builder import Profile, Shape, build
from engine.export.tensorrt.inspection import inspect
from engine.export.tensorrt.targets import choose, gpu_here
from engine.export.tensorrt.typed_graphs import TypedGraphs
from engine.export.variant_folder import ENCODER_BATCH, read_max_rows
from engine.native.weights import have_weights, read_weights
from engine.runtime.batching.scheduler import MOST_ROWS
from engine.runtime.sessions.caches import LENGTH_STEP, padded
from engine.runtime.sessions.tensorrt.library import (
    TensorRT,
    TensorRTMissingError,
    installed,
    load_tensorrt,
)
from engine.runtime.sessions.tensorrt.plan import (
    ENCODER_PLAN,
    FOLDER,
    PlanError,
    PlanManifest,
    plan_folder,
    sha256,
    write_plan,
)
from engine.runtime.sessions.tensorrt.shapes import Size

logger = logging.getLogger(__name__)

Stage = Callable[[str], AbstractContextManager[Any]]

USUAL_ROWS, USUAL_POSITIONS = 8, 32
"""What kernels are chosen for, where a plan serves many shapes."""

ENCODER_ROWS = 64
"""Sources that are encoded at once: more are encoded one after the other, in less memory."""


@dataclass(frozen=True)
class PlanWish:
    """For which GPUs to build, by compute capability ("8.9"), and for how many rows at once.

    Without capabilities it is the GPU of this machine; with 0 rows it is as many as config.pbtxt
    lets run. `flavour` is that of TensorRT, "" for the first installed one that builds for them.
    What builders learn about kernels is kept in the folder `timing_caches`.
    """

    compute_capabilities: Sequence[str] = ()
    max_rows: int = 0
    flavour: str = ""
    timing_caches: Path | None = None


def build_plans(variant: Path, wish: PlanWish, stage: Stage) -> list[Path]:
    """Builds the plans of the variant in a folder of the repository.

    Returns the folder of the plans for each compute capability.

    Raises:
        PlanError: a plan can't be built, or the engine is not what was asked for.

    """
    library, capabilities = builder_for(wish)
    files = variant / "1"
    manifest = _manifest(files)
    rows = _rows(variant, manifest, wish)
    if manifest.is_recurrent:
        raise PlanError(
            f"{manifest.name} has a recurrent decoder, which no TensorRT plan is built for: it "
            "runs on processors."
        )
    if have_weights(files) and read_weights(files)[0].get("local_radius"):
        raise PlanError(
            f"{manifest.name} attends to windows of a source, which no TensorRT plan is built for: "
            "it runs without plans."
        )
    built = []
    with tempfile.TemporaryDirectory() as temporary:
        graphs = TypedGraphs(files, manifest, Path(temporary))
        for capability in capabilities:
            folder = files / FOLDER / plan_folder(capability)
            with stage(f"{manifest.name}: building TensorRT plans for {capability}"):
                _build_one(library, graphs, folder, capability, rows, wish)
            built.append(folder)
    return built


def builder_for(wish: PlanWish) -> tuple[TensorRT, list[str]]:
    """The TensorRT that builds what is wished for, and the compute capabilities.

    Raises:
        PlanError: none is installed, or none of them can.

    """
    return choose(_libraries(wish.flavour), wish.compute_capabilities, gpu_here())


def _libraries(flavour: str) -> list[TensorRT]:
    """All that may build: the one that is asked for, or those that are installed.

    Raises:
        PlanError: there is none.

    """
    try:
        first = load_tensorrt(flavour)
    except TensorRTMissingError as error:
        raise PlanError(str(error)) from error
    return [first] if flavour else installed()


def _manifest(files: Path) -> Manifest:
    try:
        return read_manifest(files)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise PlanError(
            f"{files.parent} has no manifest that can be read ({error}): export it again."
        ) from error


def _rows(variant: Path, manifest: Manifest, wish: PlanWish) -> int:
    """For how many rows to build: as many at least as Triton lets run.

    Raises:
        PlanError: it is less, or more than what is sensible.

    """
    try:
        least = ENCODER_BATCH if manifest.kind == "encoder" else read_max_rows(variant)
    except ValueError as error:
        raise PlanError(f"{error}: export the variant again.") from error
    rows = wish.max_rows or least
    if rows > MOST_ROWS:
        raise PlanError(f"{manifest.name}: {rows} rows at once are more than {MOST_ROWS}.")
    if rows < least and manifest.kind != "encoder":
        raise PlanError(
            f"{manifest.name}: max_rows in config.pbtxt is {least}, and plans for {rows} rows "
            "would not be loaded: lower it there first, or ask for more rows."
        )
    return rows


def _build_one(
    library: TensorRT,
    graphs: TypedGraphs,
    folder: Path,
    capability: str,
    rows: int,
    wish: PlanWish,
) -> None:
    manifest = graphs.manifest
    generates = manifest.kind == "seq2seq"
    # A decoder's sources are padded to round lengths; an encoder's tables end where it does.
    longest = manifest.max_source_tokens
    longest = padded(longest) if generates else longest
    encoder_rows = min(rows, ENCODER_ROWS) if generates else rows
    cache = None
    if wish.timing_caches is not None:
        name = f"{library.flavour}-{library.version}-{plan_folder(capability)}.cache"
        cache = wish.timing_caches / name
    digests: dict[str, str] = {}
    matmuls, plans = {}, {}
    for plan, path in graphs.typed.items():
        name = graphs.sources[plan]
        most = encoder_rows if plan == ENCODER_PLAN else rows
        profile = shapes_of(Size(most, longest, graphs.cache_length))
        exact = manifest.precision == "fp32"
        built = build(library, path, capability, profile, cache, exact=exact)
        matmuls[plan] = inspect(
            f"{manifest.name}, {plan}", built.layers, graphs.expected(plan, built.inputs)
        )
        plans[plan] = built.plan
        data = [f"{name}.data"] if (graphs.files / f"{name}.data").exists() else []
        digests |= {one: sha256(graphs.files / one) for one in (name, *data)}
        logger.info("%s: %s for %s: %s", manifest.name, plan, capability, matmuls[plan])
    described = PlanManifest(
        variant=manifest.name,
        precision=manifest.precision,
        flavour=library.flavour,
        version=library.version,
        compute_capability=capability,
        files={plan: hashlib.sha256(content).hexdigest() for plan, content in plans.items()},
        graphs=digests,
        max_rows=rows,
        encoder_rows=encoder_rows,
        max_source=longest,
        cache_length=graphs.cache_length,
        matmuls=matmuls,
    )
    _replace(folder, plans, described)


def _replace(folder: Path, plans: Mapping[str, bytes], described: PlanManifest) -> None:
    """Puts plans in the place of those before, when all are written."""
    new, old = (folder.with_name(f".{folder.name}.{end}") for end in ("new", "old"))
    try:
        for place in (new, old):
            shutil.rmtree(place, ignore_errors=True)
        new.mkdir(parents=True)
        for plan, content in plans.items():
            (new / plan).write_bytes(content)
        write_plan(described, new)
        if folder.exists():
            folder.rename(old)
        new.rename(folder)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        shutil.rmtree(new, ignore_errors=True)
        raise PlanError(f"{folder} can't be written: {error.strerror}.") from error


def shapes_of(largest: Size) -> Profile:
    """The profile of all our graphs, for sizes up to the largest."""

    def least(size: int) -> int:
        return min(LENGTH_STEP, size)

    def usual(size: int) -> int:
        return min(USUAL_POSITIONS, size)

    rows, width, cached = largest
    sizes = (
        Size(1, least(width), least(cached)),
        Size(min(USUAL_ROWS, rows), usual(width), usual(cached)),
        largest,
    )

    def profile(name: str, dims: Shape) -> tuple[Shape, Shape, Shape]:
        first, second, last = (size.shape(name, dims) for size in sizes)
        return first, second, last

    return profile
