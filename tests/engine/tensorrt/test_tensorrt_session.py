"""The sessions on the twin: they answer as ONNX Runtime does, and tell what is wrong."""

import ctypes
import json
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.contract.events import End, FinishReason
from engine.contract.manifest import read_manifest
from engine.contract.options import Options
from engine.contract.readings import Logits
from engine.export.exporter import ExportJob, export
from engine.export.tensorrt.plans import TypedGraphs
from engine.model.checkpoint import load_checkpoint
from engine.runtime.batch import run_texts
from engine.runtime.batching.lane import NOT_FINITE
from engine.runtime.batching.scheduler import Limits
from engine.runtime.encoders.engine import EncoderEngine
from engine.runtime.encoders.request import EncoderItem, EncoderOptions
from engine.runtime.engine import Engine, Settings
from engine.runtime.sessions import placement
from engine.runtime.sessions.session import DeviceLostError
from engine.runtime.sessions.tensorrt import cuda as cuda_module
from engine.runtime.sessions.tensorrt import engine as engine_module
from engine.runtime.sessions.tensorrt.caches import runs
from engine.runtime.sessions.tensorrt.cuda import Cuda, CudaError
from engine.runtime.sessions.tensorrt.library import TensorRT
from engine.runtime.sessions.tensorrt.plan import (
    FOLDER,
    PLAN_FILE,
    PlanError,
    PlanManifest,
    read_plan,
    sha256,
    write_plan,
)
from engine.runtime.sessions.tensorrt.session import TensorRTSession
from engine.runtime.sessions.tensorrt.shapes import buckets
from tests.engine.caller import Caller, ends_of
from tests.engine.conftest import read_sources
from tests.engine.tensorrt import twin

EXAMPLES = Path(__file__).parents[3] / "examples" / "checkpoints"
ROWS = 8
SOURCE = 256
"""Tokens of the longest source that the twin's plans take; more would take the tests longer."""


def plan_with_twin(files: Path, folder: Path, max_rows: int = ROWS) -> None:
    """Plans for the twin: the typed graphs themselves."""
    manifest = read_manifest(files)
    place = files / FOLDER / "sm_89"
    place.mkdir(parents=True)
    folder.mkdir()
    graphs = TypedGraphs(files, manifest, folder)
    for name, path in graphs.typed.items():
        shutil.copy(path, place / name)
    write_plan(
        PlanManifest(
            variant=manifest.name,
            precision=manifest.precision,
            flavour="tensorrt",
            version=twin.TensorRT.__version__,
            compute_capability="8.9",
            files={path.name: sha256(path) for path in place.glob("*.plan")},
            graphs={name: sha256(files / name) for name in graphs.sources.values()},
            max_rows=max_rows,
            encoder_rows=max_rows // 2,
            max_source=SOURCE,
            cache_length=graphs.cache_length,
            matmuls={},
        ),
        place,
    )


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example translator in FP32 and FP16 and the classifier in FP32, with twin plans."""
    root = tmp_path_factory.mktemp("planned")
    texts = read_sources(8)
    translator = load_checkpoint(EXAMPLES / "en-fr", "translation")
    job = ExportJob(translator, "en-fr", ("en", "fr"), root, texts)
    classifier = load_checkpoint(EXAMPLES / "deb-section", "classification")
    other = ExportJob(classifier, "section", ("", ""), root, texts, task="classification")
    variants = [*export(job, ["fp32", "fp16"]), *export(other, ["fp32"])]
    for variant in variants:
        plan_with_twin(variant / "1", tmp_path_factory.mktemp("typed") / "graphs")
    return root


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> twin.Cuda:
    cuda = twin.Cuda()
    library = TensorRT("tensorrt", twin.TensorRT.__version__, twin.TensorRT(cuda))
    monkeypatch.setattr(placement, "load_tensorrt", lambda flavour: library)
    monkeypatch.setattr(cuda_module, "load_cuda", lambda: cuda)
    return cuda


def _answers(
    files: Path, texts: list[str], options: Options, device: int | None
) -> list[tuple[int, ...]]:
    engine = Engine(files, Settings(lanes=1, limits=Limits(max_rows=ROWS), device=device))
    engine.start()
    try:
        return [tuple(one.end.token_ids) for one in run_texts(engine, texts, options)]
    finally:
        engine.stop()


@pytest.mark.parametrize(
    "options",
    [
        Options(stream=False, token_ids=True),
        Options(stream=False, token_ids=True, num_beams=3),
        Options(stream=False, token_ids=True, alignment=True),
        Options(stream=False, token_ids=True, sample=True, seed=3, temperature=0.8),
    ],
    ids=["greedy", "beams", "alignment", "sampling"],
)
def test_answers_are_those_of_onnx_runtime(
    repository: Path, gpu: twin.Cuda, options: Options
) -> None:
    """Many texts of all lengths come and go, so rows move and the memory is laid out anew."""
    files = repository / "en-fr_fp32" / "1"
    texts = [text * n for n, text in enumerate(read_sources(24), 1) if len(text) * n < 900]
    expected = _answers(files, texts, options, device=None)
    assert _answers(files, texts, options, device=0) == expected
    assert any(name == "cudaGraphLaunch" for name, *_ in gpu.recorded)


def test_fp16_takes_masks_and_caches_in_16_bits(repository: Path, gpu: twin.Cuda) -> None:
    texts = read_sources(24)
    options = Options(stream=False, token_ids=True)
    ours = _answers(repository / "en-fr_fp16" / "1", texts, options, device=0)
    exact = _answers(repository / "en-fr_fp32" / "1", texts, options, device=None)
    assert sum(one == other for one, other in zip(ours, exact, strict=True)) >= 20
    sizes = {size for name, *rest in gpu.recorded if name == "cudaMalloc" for size in rest}
    layers = read_manifest(repository / "en-fr_fp16" / "1").decoder_layers
    assert 2 * layers * ROWS * 4 * 512 * 64 * 2 in sizes  # caches of two bytes a number


def test_every_bucket_is_captured_before_the_first_text(repository: Path, gpu: twin.Cuda) -> None:
    """Of both steps, each after one run that sets TensorRT up; the encoder has run for all."""
    files = repository / "en-fr_fp32" / "1"
    engine = Engine(files, Settings(lanes=1, limits=Limits(max_rows=ROWS), device=0))
    runs = _runs(gpu)
    rows, reads = buckets(ROWS, 1), buckets(512, 64)
    steps = [(one["ids"][0], one["cache_positions"][0]) for one in runs if "ids" in one]
    assert Counter(steps) == {(n, length): 2 * 2 for n in rows for length in reads}
    encoded = [one["input_ids"] for one in runs if "input_ids" in one]
    assert Counter(encoded) == {
        (n, w): 1 for n in buckets(ROWS // 2, 1) for w in buckets(SOURCE, 16)
    }
    assert len([one for one in gpu.recorded if one[0] == "cudaStreamBeginCapture"]) == 2 * 4 * 4
    gpu.recorded.clear()
    engine.start()
    try:
        run_texts(engine, read_sources(20), Options(stream=False))
        run_texts(engine, read_sources(4), Options(stream=False, num_beams=2))
    finally:
        engine.stop()
    names = Counter(name for name, *_ in gpu.recorded)
    assert names["cudaGraphLaunch"] > 20
    assert not names["cudaStreamBeginCapture"] and not names["cudaMalloc"]
    assert all("input_ids" in shapes for shapes in _runs(gpu))  # no step without a graph
    assert {shapes["input_ids"] for shapes in _runs(gpu)} <= set(encoded)


def _runs(gpu: twin.Cuda) -> list[dict[str, tuple[int, ...]]]:
    """The shapes of each call that runs an engine, but for those of graphs."""
    return [shapes for name, *rest in gpu.recorded if name == "execute_async_v3" for shapes in rest]


def test_a_classifier_answers_as_onnx_runtime(repository: Path, gpu: twin.Cuda) -> None:
    """More windows than the plan takes at once, of all lengths."""
    files = repository / "section_fp32" / "1"
    items = [EncoderItem(text, "", EncoderOptions()) for text in read_sources(40)]
    logits = []
    for device in (None, 0):
        engine = EncoderEngine(files, device=device)
        try:
            results = [one for one in engine.run(items) if isinstance(one, Logits)]
        finally:
            engine.close()
        logits.append(np.array([one.logits for one in results]))
    assert logits[0].shape == (40, len(read_manifest(files).labels))
    np.testing.assert_allclose(logits[1], logits[0], atol=1e-4)


Fault = Callable[[TensorRTSession], tuple[twin.Error] | None]


def _ends_with_fault(
    files: Path, gpu: twin.Cuda, monkeypatch: pytest.MonkeyPatch, fault: Fault
) -> tuple[list[End], list[tuple[int, ...]]]:
    """How four texts end of which `fault` meets the fourth step, and the tokens they ought to have.

    What follows them has to be right.  A fault gives the error of the step, or None and it runs.
    """
    options = Options(stream=False, token_ids=True)
    expected = _answers(files, read_sources(4), options, device=None)
    engine = Engine(files, Settings(lanes=1, limits=Limits(max_rows=ROWS), device=0))
    session = engine.lanes[0]._session
    assert isinstance(session, TensorRTSession)
    launch = gpu.cudaGraphLaunch
    calls = iter(range(10_000))

    def meets_fault(graphExec: int, stream: int) -> tuple[twin.Error]:  # noqa: N803
        error = fault(session) if next(calls) == 3 else None
        return error or launch(graphExec, stream)

    monkeypatch.setattr(gpu, "cudaGraphLaunch", meets_fault)
    engine.start()
    try:
        ends = ends_of(Caller(engine).send(read_sources(4), stream=False, token_ids=True).finish())
        again = run_texts(engine, read_sources(4), options)
    finally:
        engine.stop()
    assert [tuple(one.end.token_ids) for one in again] == expected
    return ends, expected


def test_a_failing_run_ends_its_rows_and_the_next_ones_are_right(
    repository: Path, gpu: twin.Cuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = repository / "en-fr_fp32" / "1"
    ends, _ = _ends_with_fault(files, gpu, monkeypatch, lambda _: (twin.INVALID,))
    for end in ends:
        assert end.finish_reason is FinishReason.ERROR
        assert "cudaGraphLaunch failed" in end.message


def test_what_is_not_finite_ends_one_row_and_leaves_nothing_behind(
    repository: Path, gpu: twin.Cuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A masked position is still multiplied, so one NaN would poison its slot for later texts."""

    def poison(session: TensorRTSession) -> None:
        for caches in (session._memory.own, session._memory.cross):
            for array in caches.arrays:
                ctypes.memset(array.address + 2 * caches._row, 0xFF, caches._row)

    files = repository / "en-fr_fp32" / "1"
    ends, expected = _ends_with_fault(files, gpu, monkeypatch, poison)
    failed = [end for end in ends if end.finish_reason is FinishReason.ERROR]
    assert [end.message for end in failed] == [NOT_FINITE]
    for end, tokens in zip(ends, expected, strict=True):
        assert end in failed or tuple(end.token_ids) == tokens


def test_tensorrt_for_rtx_compiles_kernels_before_it_is_captured(
    repository: Path, gpu: twin.Cuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And where a context can't be captured, it runs without a graph."""
    api = twin.TensorRTForRTX(gpu)
    library = TensorRT("tensorrt", api.__version__, api)
    monkeypatch.setattr(placement, "load_tensorrt", lambda flavour: library)
    files = repository / "en-fr_fp32" / "1"
    options = Options(stream=False, token_ids=True)
    expected = _answers(files, read_sources(4), options, device=None)
    for capturable in (True, False):
        api.capturable = capturable
        gpu.recorded.clear()
        assert _answers(files, read_sources(4), options, device=0) == expected
        captured = [one for one in gpu.recorded if one[0] == "cudaStreamBeginCapture"]
        assert bool(captured) is capturable
    assert api.strategies == {twin.Strategy.EAGER}


def test_lanes_share_engines_and_nothing_else(repository: Path, gpu: twin.Cuda) -> None:
    session = placement.open_session(
        repository / "en-fr_fp32" / "1",
        read_manifest(repository / "en-fr_fp32" / "1"),
        threads=1,
        capacity=4,
        device=0,
    )
    assert isinstance(session, TensorRTSession)
    other = session.sibling()
    assert other._engines is session._engines
    own = {array.address for array in session._memory.own.arrays}
    assert not own & {array.address for array in other._memory.own.arrays}


def _damage(variant: Path, /, **changes: object) -> None:
    place = variant / FOLDER / "sm_89"
    write_plan(replace(read_plan(place), **changes), place)  # type: ignore[arg-type]


def _truncate_plan(files: Path) -> None:
    path = files / FOLDER / "sm_89" / "encoder.plan"
    path.write_bytes(path.read_bytes()[:1000])


def _foreign_plan(files: Path) -> None:
    path = files / FOLDER / "sm_89" / "encoder.plan"
    path.write_bytes(b"a plan of something else")
    _damage(files, files={**read_plan(path.parent).files, path.name: sha256(path)})


def _other_graph(files: Path) -> None:
    path = files / "encoder.onnx"
    path.write_bytes(path.read_bytes() + b"\n")


def _no_manifest(files: Path) -> None:
    (files / FOLDER / "sm_89" / PLAN_FILE).unlink()


def _half_manifest(files: Path) -> None:
    path = files / FOLDER / "sm_89" / PLAN_FILE
    content = json.loads(path.read_text(encoding="utf-8"))
    del content["version"]
    path.write_text(json.dumps(content), encoding="utf-8")


WRONG: list[tuple[Callable[[Path], None], str]] = [
    (lambda files: _damage(files, version="10.3.0"), "built with tensorrt 10.3.0, and tensorrt 11"),
    (lambda files: _damage(files, flavour="tensorrt_rtx"), "built with tensorrt_rtx"),
    (lambda files: _damage(files, compute_capability="8.0"), "for compute capability 8.0, and"),
    (lambda files: _damage(files, max_rows=4), "takes 4 rows at once, and max_rows"),
    (_truncate_plan, "encoder.plan is damaged or missing"),
    (_foreign_plan, "encoder.plan can't be loaded by tensorrt 11.0.0 on this GPU"),
    (_other_graph, "built from another encoder.onnx"),
    (_no_manifest, "plan.json can't be read"),
    (_half_manifest, "plan.json can't be read"),
    (
        lambda files: shutil.rmtree(files / FOLDER),
        "is to run on a GPU of compute capability 8.9, and has TensorRT plans for none",
    ),
]


def _open(repository: Path, device: int) -> None:
    files = repository / "en-fr_fp32" / "1"
    placement.open_tensorrt_session(files, read_manifest(files), ROWS, device)


@pytest.mark.parametrize(("damage", "message"), WRONG)
def test_a_plan_that_does_not_fit_is_refused_in_one_sentence(
    repository: Path,
    tmp_path: Path,
    gpu: twin.Cuda,
    damage: Callable[[Path], None],
    message: str,
) -> None:
    files = tmp_path / "1"
    shutil.copytree(repository / "en-fr_fp32" / "1", files)
    damage(files)
    with pytest.raises(PlanError, match=message) as caught:
        placement.open_tensorrt_session(files, read_manifest(files), ROWS, 0)
    assert "\n" not in str(caught.value)


def test_a_plan_of_another_gpu_is_refused(repository: Path, gpu: twin.Cuda) -> None:
    gpu.capability = (9, 0)
    with pytest.raises(
        PlanError, match=r"compute capability 9\.0, and has TensorRT plans for sm_89: run"
    ):
        _open(repository, device=0)


def test_a_step_that_copies_its_cache_is_refused(
    repository: Path, gpu: twin.Cuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the new keys and values would land in memory that nobody reads."""
    api = twin.TensorRT(gpu, aliases=False)
    library = TensorRT("tensorrt", api.__version__, api)
    monkeypatch.setattr(placement, "load_tensorrt", lambda flavour: library)
    with pytest.raises(PlanError, match="does not write present_key_0 over past_key_0"):
        _open(repository, device=0)


def test_a_gpu_that_is_not_there_is_told(repository: Path, gpu: twin.Cuda) -> None:
    with pytest.raises(CudaError, match="cudaSetDevice failed"):
        _open(repository, device=3)


@pytest.mark.parametrize(
    ("error", "kind"), [(700, DeviceLostError), (214, DeviceLostError), (2, CudaError)]
)
def test_an_error_that_stays_is_told_from_one_of_a_call(
    error: int, kind: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An illegal address, a fault of the memory, and memory that does not suffice."""
    device = Cuda(0, twin.Cuda())
    monkeypatch.setattr(device.api, "cudaStreamSynchronize", lambda _: (error,))
    with pytest.raises(kind, match="cudaStreamSynchronize failed"):
        device.wait()


def test_without_bindings_there_are_no_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise CudaError("the package cuda-bindings is not installed.")

    monkeypatch.setattr(cuda_module, "load_cuda", missing)
    assert cuda_module.count_devices() == 0
    assert cuda_module.count_devices(twin.Cuda(devices=2)) == 2


def test_bf16_masks_are_their_bits(repository: Path, gpu: twin.Cuda) -> None:
    """NumPy has no bfloat16, so they are made by hand."""
    assert np.finfo(np.float16).min < engine_module.MASKED_HALF
    mask = np.array([0, -1e9, 1.5], np.float32)
    bits = (mask.view(np.uint32) >> 16).astype(np.uint32) << 16
    np.testing.assert_allclose(bits.view(np.float32), mask, rtol=0.01)


def test_stretches_of_rows() -> None:
    assert runs(np.array([0, 1, 2, 2, 2, 3, 7])) == [(0, 3, 0), (3, 4, 2), (4, 6, 2), (6, 7, 7)]
