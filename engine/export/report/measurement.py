"""A variant on a test set: what its answers are worth, and what can be learned from them."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.contract.manifest import Manifest, read_manifest
from engine.contract.quality import QualityModel
from engine.export.confidence.fit import fit_quality_model
from engine.export.confidence.samples import scored
from engine.export.report.answers import answer_texts, fits, generate, left_out
from engine.export.report.quality import Quality, measure
from engine.model.checkpoint import CheckpointError
from engine.runtime.batch import TextAnswer
from engine.runtime.engine import Settings
from engine.training.corpus import Pair

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Measurement:
    """The answers of a variant to the pairs of a test set that it takes as a whole.

    `answers` list their tokens; they are empty of an encoder.
    """

    manifest: Manifest
    quality: Quality
    pairs: Sequence[Pair]
    answers: Sequence[TextAnswer] = ()

    def quality_model(self) -> QualityModel | None:
        """What estimates the quality of single translations, where enough can be learned of these.

        How long a summary is depends on what its caller asks for, which no model here knows of.
        """
        manifest = self.manifest
        if manifest.task != "translation":
            return None
        if manifest.source_languages or len(manifest.language_pairs) > 1:
            logger.info(
                "%s: no confidence of answers: it serves several pairs of languages, and the test"
                " set is of one",
                manifest.name,
            )
            return None
        return fit_quality_model(manifest.name, scored(manifest, self.pairs, self.answers))


def measure_variant(
    files: Path, test: Sequence[Pair], settings: Settings | None = None
) -> Measurement:
    """The variant whose files are in `files`, on a test set, see `measure` and `answer_texts`.

    Texts that are longer than the model are left out, and their number is logged.

    Raises:
        CheckpointError: all are too long.

    """
    fitting = fits(files, [pair.source for pair in test])
    kept = [pair for pair, fit in zip(test, fitting, strict=True) if fit]
    if not kept:
        raise CheckpointError("every text of the test set is longer than the model takes.")
    if len(kept) < len(test):
        logger.warning("%s", left_out(len(test) - len(kept), len(test)))
    manifest = read_manifest(files)
    sources, targets = [pair.source for pair in kept], [pair.target for pair in kept]
    if manifest.kind == "encoder":
        labels, task = answer_texts(files, sources, settings)
        return Measurement(manifest, measure(task, labels, targets), kept)
    details = manifest.task == "translation"  # what `quality_model` learns from
    answers = generate(files, sources, settings, token_log_probs=details)
    quality = measure(manifest.task, [answer.text for answer in answers], targets)
    return Measurement(manifest, quality, kept, answers)
