"""Checkpoint to variants: build the graphs, calibrate, quantize, check, measure, write."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, get_args

import onnx

from engine.export.calibration import observe
from engine.export.gates import check_variant
from engine.export.graph import Array
from engine.export.quality import Quality, measure
from engine.export.quantization import quantize
from engine.export.transformer_graphs import TransformerGraphs
from engine.export.variant import Serving, VariantWriter, tokenizer_sha256
from engine.model.checkpoint import Checkpoint, CheckpointError
from engine.runtime.batch import run_texts
from engine.runtime.engine import Engine
from engine.runtime.manifest import Manifest
from engine.runtime.request import Options
from engine.runtime.vocabulary import load_vocabulary
from engine.training.corpus import Pair

logger = logging.getLogger(__name__)

Precision = Literal["fp32", "int8"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)

CALIBRATION_BATCH = 16


@dataclass(frozen=True)
class ExportJob:
    """What to export, and where to.

    `calibration` are source texts that INT8's ranges are taken from; `test`, when given, is what
    quality is measured on.
    """

    checkpoint: Checkpoint
    name: str
    languages: tuple[str, str]
    repository: Path
    calibration: Sequence[str]
    test: Sequence[Pair] = ()
    serving: Serving = field(default_factory=Serving)


def export(job: ExportJob, precisions: Sequence[Precision]) -> list[Path]:
    """Writes one variant for each precision; a variant that fails its gate is not written.

    Raises:
        CheckpointError: the checkpoint has no tokenizer that we know.
        GateError: a graph does not agree with the checkpoint.

    """
    checkpoint = job.checkpoint
    logger.info("%s: building the graphs", job.name)
    graphs = TransformerGraphs(checkpoint.model, checkpoint.suppressed_ids)
    floats = graphs.encoder(), graphs.decoder_step()
    manifest = _manifest(job)
    sources = _encode(job)
    magnitudes: tuple[dict[str, Array], dict[str, Array]] = ({}, {})
    if "int8" in precisions:
        logger.info("%s: calibrating on %d texts", job.name, len(job.calibration))
        batches = [
            sources[start : start + CALIBRATION_BATCH]
            for start in range(0, len(sources), CALIBRATION_BATCH)
        ]
        magnitudes = observe(*floats, manifest, batches)
    written = []
    for precision in precisions:
        models = floats
        if precision == "int8":
            models = quantize(floats[0], magnitudes[0]), quantize(floats[1], magnitudes[1])
        variant = replace(manifest, name=f"{job.name}_{precision}", precision=precision)
        written.append(_write(job, variant, models))
    return written


def _write(job: ExportJob, manifest: Manifest, models: tuple[onnx.ModelProto, ...]) -> Path:
    writer = VariantWriter(job.repository, manifest.name)
    try:
        writer.graphs(*models)
        writer.tokenizer(job.checkpoint.folder)
        writer.manifest(manifest, job.serving)
        check_variant(writer.files, job.checkpoint, job.calibration)
        if job.test:
            logger.info("%s: measuring quality on %d pairs", manifest.name, len(job.test))
            quality = measure_variant(writer.files, job.test)
            logger.info("%s: %s", manifest.name, quality)
            writer.manifest(replace(manifest, quality=quality), job.serving)
        return writer.commit()
    finally:
        writer.discard()


def measure_variant(folder: Path, test: Sequence[Pair]) -> Quality:
    """BLEU and chrF of greedy decoding by the variant whose files are in `folder`."""
    return measure(translate(folder, [p.source for p in test]), [p.target for p in test])


def translate(folder: Path, texts: Sequence[str]) -> list[str]:
    """Greedy translations by the variant whose files are in `folder`."""
    engine = Engine(folder)
    engine.start()
    try:
        return [answer.text for answer in run_texts(engine, texts, Options(stream=False))]
    finally:
        engine.stop()


def _encode(job: ExportJob) -> list[list[int]]:
    checkpoint = job.checkpoint
    try:
        vocabulary = load_vocabulary(checkpoint.folder, checkpoint.config.vocab_size)
    except (FileNotFoundError, KeyError) as error:
        raise CheckpointError(
            f"{checkpoint.folder} has no tokenizer that we know: {error}"
        ) from error
    sources = vocabulary.encode(job.calibration)
    return sorted((s for s in sources if len(s) <= checkpoint.max_source_tokens), key=len)


def _manifest(job: ExportJob) -> Manifest:
    checkpoint, config = job.checkpoint, job.checkpoint.config
    return Manifest(
        name=job.name,
        base_model=job.name,
        task="translation",
        language_pairs=[list(job.languages)],
        precision="fp32",
        family=checkpoint.family,
        checkpoint_sha256=checkpoint.sha256,
        tokenizer_sha256=tokenizer_sha256(checkpoint.folder),
        max_source_tokens=checkpoint.max_source_tokens,
        max_target_tokens=checkpoint.max_target_tokens,
        vocab_size=config.vocab_size,
        decoder_layers=config.decoder_layers,
        decoder_heads=config.decoder_heads,
        head_width=config.d_model // config.decoder_heads,
        decoder_start_id=config.decoder_start_id,
        eos_id=config.eos_id,
        pad_id=config.pad_id,
    )
