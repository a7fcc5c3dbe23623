"""The plans of a variant: typed graphs from its files, built for each type of GPU, and checked."""

import hashlib
import logging
import shutil
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx

from engine.contract.manifest import Manifest, read_manifest
from engine.export.graphs.builder import check_model, save_model
from engine.export.precision.half_arithmetic import stays_float, value_types
from engine.export.precision.recipes import read_recipes, typed_graph
from engine.export.tensorrt.builder import Profile, Shape, build
from engine.export.tensorrt.inspection import Expected, inspect
from engine.export.tensorrt.targets import choose, gpu_here
from engine.runtime.sessions.caches import LENGTH_STEP, padded
from engine.runtime.sessions.tensorrt.library import (
    TensorRT,
    TensorRTMissingError,
    installed,
    load_tensorrt,
)
from engine.runtime.sessions.tensorrt.plan import (
    FOLDER,
    PlanError,
    PlanManifest,
    plan_folder,
    sha256,
    write_plan,
)

logger = logging.getLogger(__name__)

Stage = Callable[[str], AbstractContextManager[Any]]

PRODUCTS = ("MatMul", "Gemm")

USUAL_ROWS, USUAL_SOURCE = 8, 32
"""What kernels are chosen for, where a plan serves many shapes."""


@dataclass(frozen=True)
class PlanWish:
    """For which GPUs to build, by compute capability ("8.9"), and for how many rows at once.

    Without capabilities it is the GPU of this machine. `flavour` is that of TensorRT, "" for the
    first installed one that builds for them. What builders learn about kernels is kept in the
    folder `timing_caches`.
    """

    compute_capabilities: Sequence[str] = ()
    max_rows: int = 64
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
    if manifest.is_recurrent:
        raise PlanError(
            f"{manifest.name} has a recurrent decoder, which no TensorRT plan is built for: it "
            "runs on processors."
        )
    built = []
    with tempfile.TemporaryDirectory() as temporary:
        graphs = TypedGraphs(files, manifest, Path(temporary))
        for capability in capabilities:
            folder = files / FOLDER / plan_folder(capability)
            with stage(f"{manifest.name}: building TensorRT plans for {capability}"):
                _build_one(library, graphs, folder, capability, wish)
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


class TypedGraphs:
    """The typed graphs of a variant, written to a folder of their own."""

    def __init__(self, files: Path, manifest: Manifest, folder: Path) -> None:
        self.manifest, self.files = manifest, files
        self.recipes = _recipes(files)
        self.cache_length = padded(manifest.max_target_tokens) if manifest.kind == "seq2seq" else 0
        self.typed: dict[str, Path] = {}
        self.float32: dict[str, set[str]] = {}
        self.kept: dict[str, set[str]] = {}
        for name in self.recipes:
            model = self._typed(name)
            self.typed[name] = folder / name
            save_model(model, folder / name)

    def _typed(self, name: str) -> onnx.ModelProto:
        model, recipe = _load(self.files / name), self.recipes[name]
        precision: Any = self.manifest.precision
        typed = typed_graph(model, precision, recipe["float32"])
        asked = {node.name for node in model.graph.node if stays_float(node)}
        self.float32[name] = asked | recipe["float32"].keys()
        products = {node.name for node in model.graph.node if node.op_type in PRODUCTS}
        self.kept[name] = products & recipe["float32"].keys()
        _require_typed(typed, precision, self.float32[name], name)
        fix_length(typed, self.cache_length)
        return typed

    def expected(self, name: str, inputs: Sequence[str]) -> Expected:
        """What the engine of a graph has to be."""
        caches = [(one, one.replace("past_", "present_")) for one in inputs if "past_" in one]
        float32 = None if self.manifest.precision == "fp32" else self.float32[name]
        int8 = self.recipes[name]["roundings"].keys()
        return Expected(inputs, caches, float32, self.kept[name] - int8, int8)


def _load(path: Path) -> onnx.ModelProto:
    """Reads a graph.

    Raises:
        PlanError: it is missing or damaged.

    """
    try:
        model = onnx.load(path)
        check_model(model)
    except Exception as error:  # protobuf, the checker and the file system each have their own
        reason = (str(error).strip().splitlines() or ["it is empty"])[0]
        raise PlanError(
            f"{path} is no whole ONNX graph ({reason[:120]}): export the variant again."
        ) from error
    return model


def _manifest(files: Path) -> Manifest:
    try:
        return read_manifest(files)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise PlanError(
            f"{files.parent} has no manifest that can be read ({error}): export it again."
        ) from error


def _recipes(files: Path) -> dict[str, dict[str, Any]]:
    try:
        return read_recipes(files)
    except (OSError, ValueError) as error:
        raise PlanError(
            f"{files.parent} does not tell how it was rounded ({error}): export it again."
        ) from error


def fix_length(model: onnx.ModelProto, length: int) -> None:
    """Gives the caches of a decoder step a static length, which TensorRT asks for."""
    for value in (*model.graph.input, *model.graph.output):
        for dimension in value.type.tensor_type.shape.dim:
            if dimension.dim_param == "L":
                dimension.dim_value = length


def _require_typed(
    model: onnx.ModelProto, precision: str, float32: Collection[str], name: str
) -> None:
    """Refuses a graph with a product in FP32 that nobody asked for."""
    if precision == "fp32":
        return
    types = value_types(model)
    for node in model.graph.node:
        product = node.op_type in PRODUCTS and node.name not in float32
        if product and types[node.output[0]] == onnx.TensorProto.FLOAT:
            raise PlanError(f"{name}: {node.name} would be FP32, and nobody asked for it.")


def _build_one(
    library: TensorRT, graphs: TypedGraphs, folder: Path, capability: str, wish: PlanWish
) -> None:
    manifest = graphs.manifest
    # A decoder's sources are padded to round lengths; an encoder's tables end where it does.
    longest = manifest.max_source_tokens
    longest = padded(longest) if manifest.kind == "seq2seq" else longest
    profile = shapes_of(wish.max_rows, longest)
    cache = None
    if wish.timing_caches is not None:
        name = f"{library.flavour}-{library.version}-{plan_folder(capability)}.cache"
        cache = wish.timing_caches / name
    digests: dict[str, str] = {}
    matmuls, plans = {}, {}
    for name, path in graphs.typed.items():
        built = build(library, path, capability, profile, cache)
        plan = f"{Path(name).stem}.plan"
        matmuls[plan] = inspect(
            f"{manifest.name}, {plan}", built.layers, graphs.expected(name, built.inputs)
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
        max_rows=wish.max_rows,
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


def shapes_of(max_rows: int, longest: int) -> Profile:
    """The profile of all our graphs: rows come first, the other dynamic axis is the source."""

    def profile(_: str, dims: Shape) -> tuple[Shape, Shape, Shape]:
        def shape(rows: int, width: int) -> Shape:
            sizes = [size if size != -1 else width for size in dims]
            return (rows if dims[0] == -1 else dims[0], *sizes[1:])

        usual = min(USUAL_ROWS, max_rows), min(USUAL_SOURCE, longest)
        least = min(LENGTH_STEP, longest)
        return shape(1, least), shape(*usual), shape(max_rows, longest)

    return profile
