"""Checkpoint to variants: build the graphs, calibrate, quantize, check, measure, write."""

import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

import onnx

from engine.export.answers import answer_texts, fits
from engine.export.calibration import observe
from engine.export.description import describe
from engine.export.encoder_export import encoder_models
from engine.export.encoder_gates import check_encoder
from engine.export.gates import check_variant
from engine.export.half import halve
from engine.export.quality import Quality, measure
from engine.export.quantization import quantize
from engine.export.repository import staging
from engine.export.source import Wish
from engine.export.transformer_graphs import TransformerGraphs
from engine.export.variant import Serving, write_graphs, write_manifest
from engine.model.checkpoint import Checkpoint, CheckpointError
from engine.model.tokenizer import load_tokenizer, save_tokenizer
from engine.runtime.manifest import Manifest, Task
from engine.runtime.vocabulary import load_tokenizer as load_runtime_tokenizer
from engine.runtime.vocabulary import load_vocabulary
from engine.training.corpus import Pair

logger = logging.getLogger(__name__)

Precision = Literal["fp32", "fp16", "int8"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)

DEFAULT_PRECISIONS: tuple[Precision, ...] = ("fp32", "int8")
"""Those that a CPU gains from; "fp16" saves it disk only, see `half`."""

CALIBRATION_BATCH = 16

Stage = Callable[[str], AbstractContextManager[Any]]
"""Is told what is being done, and surrounds it."""

Graphs = dict[str, onnx.ModelProto]


@dataclass(frozen=True)
class ExportJob:
    """What to export, and where to.

    `languages` are source and target, "" for all that the checkpoint has. `calibration` are source
    texts that INT8's ranges are taken from and that the gate decodes; `test`, when given, is what
    quality is measured on. `template` replaces what the checkpoint's family puts around a text.
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
        GateError: a graph does not agree with the checkpoint.
        RepositoryError: the repository can't be written, or holds a variant and not `overwrite`.

    """
    names = {precision: f"{job.name}_{precision}" for precision in precisions}
    with staging(job.repository, list(names.values()), overwrite=overwrite) as place:
        tokenizer = load_tokenizer(job.checkpoint.folder, job.checkpoint.vocab_size)
        folders = {precision: place.variant(name) for precision, name in names.items()}
        for folder in folders.values():
            (folder / "1").mkdir()
            save_tokenizer(tokenizer, folder / "1")
        files = folders[precisions[0]] / "1"
        manifest = describe(job.checkpoint, job.wish, job.name, tokenizer, files)
        graphs = _graphs(job, manifest, files, precisions, stage)
        for precision, folder in folders.items():
            variant = replace(manifest, name=names[precision], precision=precision)
            _write(job, variant, graphs[precision], folder, stage)
        return place.commit()


def _write(job: ExportJob, manifest: Manifest, graphs: Graphs, folder: Path, stage: Stage) -> None:
    files = folder / "1"
    write_graphs(graphs, files)
    write_manifest(manifest, job.serving, folder)
    with stage(f"{manifest.name}: comparing with PyTorch"):
        if manifest.kind == "encoder":
            check_encoder(files, job.checkpoint, job.calibration)
        else:
            check_variant(files, job.checkpoint, job.calibration)
    if job.test:
        with stage(f"{manifest.name}: measuring on {len(job.test)} texts"):
            quality = measure_variant(files, job.test)
        logger.info("%s: %s", manifest.name, quality)
        write_manifest(replace(manifest, quality=quality), job.serving, folder)


def measure_variant(files: Path, test: Sequence[Pair]) -> Quality:
    """The quality of the variant whose files are in `files`, see `measure`.

    Texts that are longer than the model are left out, and their number is logged.

    Raises:
        CheckpointError: all are too long.

    """
    fitting = fits(files, [pair.source for pair in test])
    kept = [pair for pair, fit in zip(test, fitting, strict=True) if fit]
    if not kept:
        raise CheckpointError("every text of the test set is longer than the model takes.")
    if len(kept) < len(test):
        logger.warning(
            "%d of %d test texts are too long: left out", len(test) - len(kept), len(test)
        )
    answers, task = answer_texts(files, [pair.source for pair in kept])
    return measure(task, answers, [pair.target for pair in kept])


def _graphs(
    job: ExportJob,
    manifest: Manifest,
    files: Path,
    precisions: Sequence[Precision],
    stage: Stage,
) -> dict[Precision, Graphs]:
    if manifest.kind == "encoder":
        ids = _encoder_ids(job, manifest, files)
        with stage(f"{job.name}: building the graph of {' and '.join(precisions)}"):
            models = encoder_models(job.checkpoint, precisions, ids)
        return {precision: {"model.onnx": models[precision]} for precision in precisions}
    return _seq2seq_graphs(job, manifest, files, precisions, stage)


def _seq2seq_graphs(
    job: ExportJob,
    manifest: Manifest,
    files: Path,
    precisions: Sequence[Precision],
    stage: Stage,
) -> dict[Precision, Graphs]:
    checkpoint = job.checkpoint
    with stage(f"{job.name}: building the graphs"):
        builder = TransformerGraphs(checkpoint.transformer, checkpoint.suppressed_ids)
        floats = builder.encoder(), builder.decoder_step()
    found: dict[Precision, Graphs] = {"fp32": _named(*floats)}
    if "fp16" in precisions:
        found["fp16"] = _named(halve(floats[0]), halve(floats[1]))
    if "int8" in precisions:
        with stage(f"{job.name}: calibrating on {len(job.calibration)} texts"):
            magnitudes = observe(*floats, manifest, _batches(job, manifest, files))
        with stage(f"{job.name}: rounding to INT8"):
            found["int8"] = _named(
                quantize(floats[0], magnitudes[0]), quantize(floats[1], magnitudes[1])
            )
    return found


def _named(encoder: onnx.ModelProto, step: onnx.ModelProto) -> Graphs:
    return {"encoder.onnx": encoder, "decoder_step.onnx": step}


def _batches(job: ExportJob, manifest: Manifest, files: Path) -> list[list[list[int]]]:
    """The calibration texts as ids, batched by length; those too long for the model are left out.

    Raises:
        CheckpointError: none is left.

    """
    encode = load_vocabulary(files, manifest).encode
    sources = encode(job.calibration, *manifest.example_languages)
    limit = manifest.max_source_tokens
    kept = sorted((source for source in sources if len(source) <= limit), key=len)
    if not kept:
        raise CheckpointError(f"no calibration text has at most {limit} tokens, the model's limit.")
    return [
        kept[start : start + CALIBRATION_BATCH] for start in range(0, len(kept), CALIBRATION_BATCH)
    ]


CALIBRATION_QUESTION = "What is this about?"


def _encoder_ids(job: ExportJob, manifest: Manifest, files: Path) -> list[list[int]]:
    """The calibration texts as ids, the start of each that fits the model."""
    tokenizer = load_runtime_tokenizer(files)
    if manifest.head == "spans":
        encoded = [tokenizer.encode(CALIBRATION_QUESTION, text) for text in job.calibration]
    else:
        encoded = [tokenizer.encode(text) for text in job.calibration]
    return [list(encoding.ids[: manifest.max_source_tokens]) for encoding in encoded]
