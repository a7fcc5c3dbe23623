"""Checkpoint to variants: build the graphs, observe, round, check, measure, write."""

import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from engine.contract.manifest import MANIFEST_FILE, Manifest, Task
from engine.export.gates.language import require_language
from engine.export.gates.transformer import GateError
from engine.export.graphs.constants import give_back, temporary_folder, working_in
from engine.export.manifest import describe
from engine.export.memory_budget import Budget
from engine.export.precision.calibration import Observation
from engine.export.precision.fallback import Candidate, arithmetic_of_gpu, first_candidate, settle
from engine.export.precision.float_graphs import FloatGraphs
from engine.export.precision.recipes import Precision, write_recipes
from engine.export.report.answers import count_tokens, texts_per_second
from engine.export.report.measurement import Measurement, measure_variant
from engine.export.report.quality import FIGURES, PRIMARY, Quality
from engine.export.repository import staging
from engine.export.source_plan import Wish
from engine.export.tensorrt.plans import PlanWish, build_plans
from engine.export.variant_folder import Serving, copy_descriptions, write_graphs, write_manifest
from engine.model.checkpoint import Checkpoint, CheckpointError
from engine.model.errors import counted
from engine.model.tokenizers.tokenizer import load_tokenizer, save_tokenizer
from engine.runtime.encoders.windows import WindowCutter
from engine.runtime.engine import Settings
from engine.runtime.text.vocabulary import load_tokenizer as load_runtime_tokenizer
from engine.runtime.text.vocabulary import load_vocabulary
from engine.training.corpus import Pair

logger = logging.getLogger(__name__)

DEFAULT_PRECISIONS: tuple[Precision, ...] = ("fp32", "int8")
"""Those that a processor gains most from; 16 bits save it less than INT8."""

MAX_LOSS = 0.3
"""Points of BLEU, ROUGE-L or accuracy that a variant may lose against FP32."""

SPEED_TEXTS = 64

FEW_TEXTS = 16
"""Calibration texts of a checkpoint that brings its INT8 scales: the rest needs no more."""

Stage = Callable[[str], AbstractContextManager[Any]]
"""Is told what is being done, and surrounds it."""


@dataclass(frozen=True)
class ExportJob:
    """What to export, and where to.

    `languages` are source and target, "" for all that the checkpoint has. `calibration` are source
    texts that INT8's ranges are taken from and that the gate decodes; `test`, when given, is what
    quality is measured on, and `max_loss` what a variant may lose of it, in points. `template`
    replaces what the checkpoint's family puts around a text. `plans` asks for TensorRT plans. With
    `require_language` calibration texts have to be in a language that the model reads, with
    `screens` an INT8 head is screened (`engine.export.native.screen`).
    """

    checkpoint: Checkpoint
    name: str
    languages: tuple[str, str]
    repository: Path
    calibration: Sequence[str]
    test: Sequence[Pair] = ()
    serving: Serving = field(default_factory=Serving)
    task: Task = "translation"
    template: str = ""
    max_loss: float = MAX_LOSS
    plans: PlanWish | None = None
    require_language: bool = False
    screens: bool = False

    @property
    def wish(self) -> Wish:
        """What the user asked for."""
        return Wish(self.task, *self.languages, self.template)


def announce(text: str) -> AbstractContextManager[Any]:
    """The `Stage` that writes a line to the log."""
    logger.info("%s", text)
    return nullcontext()


def export(
    job: ExportJob,
    precisions: Sequence[Precision],
    *,
    overwrite: bool = True,
    stage: Stage = announce,
) -> list[Path]:
    """Writes one variant for each precision: all of them, or nothing at all.

    Raises:
        CheckpointError: the checkpoint does not fit the task, or has no tokenizer that we know.
        GateError: a graph does not agree with the checkpoint, or loses too much quality.
        PlanError: a TensorRT plan can't be built, or is not what it should be.
        RepositoryError: the repository can't be written, or holds a variant and not `overwrite`.
        TextFileError: the calibration texts are in a language that the model does not read.

    """
    names = {precision: f"{job.name}_{precision}" for precision in precisions}
    with (
        staging(job.repository, list(names.values()), overwrite=overwrite) as place,
        working_in(place.scratch),
    ):
        sizes = job.checkpoint.source_vocab_size, job.checkpoint.vocab_size
        tokenizer = load_tokenizer(job.checkpoint.folder, *sizes)
        folders = {precision: place.variant(name) for precision, name in names.items()}
        for folder in folders.values():
            (folder / "1").mkdir()
            save_tokenizer(tokenizer, folder / "1")
        files = folders[precisions[0]] / "1"
        manifest = describe(job.checkpoint, job.wish, job.name, tokenizer, files)
        if job.require_language:
            require_language(job.calibration, _languages_read(manifest))
        _Export(job, manifest, files, stage).write(names, folders)
        return place.commit()


def _languages_read(manifest: Manifest) -> Sequence[str]:
    return manifest.source_languages or [source for source, _ in manifest.language_pairs]


class _Export:
    """One checkpoint on its way to variants; `files` has its tokenizer."""

    def __init__(self, job: ExportJob, manifest: Manifest, files: Path, stage: Stage) -> None:
        self.job, self.manifest, self.stage = job, manifest, stage
        with stage(f"{job.name}: building the graphs"):
            self.floats = FloatGraphs(job.checkpoint, manifest, _ids(job, manifest, files))
        self.reference: Quality | None = None

    def write(self, names: dict[Precision, str], folders: dict[Precision, Path]) -> None:
        seen: dict[str, Observation] = {}
        if set(names) - {"fp32", "bf16"}:
            every = len(self.floats.calibration)
            few = self.job.checkpoint.int8_scales and not self.job.screens
            texts = min(every, FEW_TEXTS) if few else every
            with self.stage(f"{self.job.name}: calibrating on {counted(texts, 'text')}"):
                seen = self.floats.observe(texts=texts)
        give_back()
        for precision, folder in folders.items():
            variant = replace(self.manifest, name=names[precision], precision=precision)
            self._write(variant, folder, seen)
            give_back()

    def _write(self, manifest: Manifest, folder: Path, seen: dict[str, Observation]) -> None:
        files, serving = folder / "1", self.job.serving
        write_manifest(manifest, serving, folder)
        with self.stage(f"{manifest.name}: rounding, and comparing with PyTorch"):
            texts, screens = list(self.job.calibration), self.job.screens
            first = first_candidate(self.floats, manifest, seen, texts, screens=screens)
            candidate = settle(first, files)
        write_recipes(candidate.recipes, files)
        if self.job.test:
            measured = self._measure(candidate, files)
            manifest = replace(
                manifest, quality=measured.quality, quality_model=measured.quality_model()
            )
        with self.stage(f"{manifest.name}: taking its time"):
            texts = list(self.job.calibration)[:SPEED_TEXTS]
            settings = self._settings(files, texts)
            manifest = replace(manifest, speed=texts_per_second(files, texts, settings))
        write_manifest(manifest, serving, folder)
        if self.job.plans:
            build_plans(folder, self.job.plans, self.stage)

    def _measure(self, candidate: Candidate, files: Path) -> Measurement:
        """The variant on the test set; one of 16 bits in 16-bit arithmetic.

        Raises:
            GateError: its quality is more than the user's limit below that of FP32.

        """
        manifest, test = candidate.manifest, self.job.test
        settings = self._settings(files, [pair.source for pair in test])
        with self.stage(f"{manifest.name}: measuring on {counted(len(test), 'text')}"):
            halved = manifest.precision in ("fp16", "bf16")
            if halved and not manifest.is_recurrent:
                with arithmetic_of_gpu(files, candidate) as emulation:
                    measured = measure_variant(emulation, test, settings)
            else:
                measured = measure_variant(files, test, settings)
        logger.info("%s: %s", manifest.name, measured.quality)
        if manifest.precision == "fp32":
            self.reference = measured.quality
        else:
            self._require_quality(manifest, files, measured.quality)
        return measured

    def _require_quality(self, manifest: Manifest, files: Path, quality: Quality) -> None:
        if self.reference is None:
            with self.stage(f"{self.job.name}: measuring fp32 to compare with"):
                self.reference = self._fp32_quality(files)
        figure = PRIMARY[manifest.task]
        loss = round(self.reference[figure] - quality[figure], 2)
        if loss > self.job.max_loss:
            name = FIGURES[manifest.task][figure]
            raise GateError(
                f"{manifest.name} has {name} {quality[figure]:.2f} where fp32 has "
                f"{self.reference[figure]:.2f}, and may lose {self.job.max_loss} at most: allow "
                f"more with --max-loss, give --calibration texts that are more like yours, or "
                f"leave {manifest.precision} out."
            )

    def _fp32_quality(self, files: Path) -> Quality:
        with temporary_folder() as place:
            copy_descriptions(files, place)
            plain = replace(self.manifest, precision="fp32")
            (place / MANIFEST_FILE).write_text(plain.to_json(), encoding="utf-8")
            write_graphs(self.floats.graphs, place)
            settings = self._settings(place, [pair.source for pair in self.job.test])
            return measure_variant(place, self.job.test, settings).quality

    def _settings(self, files: Path, texts: Sequence[str]) -> Settings:
        """How an engine runs these texts within the budget of an import."""
        limit = self.manifest.max_source_tokens
        lengths = [min(limit, length) for length in count_tokens(files, texts)]
        return Budget.of(self.job.checkpoint).settings(lengths, self.manifest)


def _ids(job: ExportJob, manifest: Manifest, files: Path) -> list[list[int]]:
    """The calibration texts as the model takes them.

    An encoder takes the start of each; an encoder-decoder those that it takes as a whole.

    Raises:
        CheckpointError: it takes none.

    """
    limit = manifest.max_source_tokens
    if manifest.kind == "encoder":
        return _encoder_ids(job, manifest, files)
    encode = load_vocabulary(files, manifest).encode
    sources = encode(job.calibration, *manifest.example_languages)
    kept = [source for source in sources if len(source) <= limit]
    if not kept:
        raise CheckpointError(f"no calibration text has at most {limit} tokens, the model's limit.")
    return kept


CALIBRATION_QUESTION = "What is this about?"


def _encoder_ids(job: ExportJob, manifest: Manifest, files: Path) -> list[list[int]]:
    """The calibration texts as ids: of each the first window that a request has read."""
    cutter = WindowCutter(load_runtime_tokenizer(files), manifest.max_source_tokens)
    if manifest.head == "spans":
        cut = [cutter.cut_context(CALIBRATION_QUESTION, text, None, 0) for text in job.calibration]
    else:
        cut = [cutter.cut(text) for text in job.calibration]
    return [list(one.windows[0].ids) for one in cut]
