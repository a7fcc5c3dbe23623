"""From a folder or a hub id to variants of the model repository: `seqway-models import`."""

import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from engine.contract.manifest import Task
from engine.export.calibration_texts import generic_texts, random_proteins
from engine.export.exporter import (
    DEFAULT_PRECISIONS,
    MAX_LOSS,
    ExportJob,
    Stage,
    announce,
    export,
)
from engine.export.layout_check import check_layout
from engine.export.precision.recipes import Precision
from engine.export.repository import refuse_standing, stands
from engine.export.source_plan import guess_generation_task, named_pair
from engine.export.tensorrt.plans import PlanWish, builder_for
from engine.export.text_files import read_pairs, read_texts
from engine.export.variant_folder import Serving
from engine.model.checkpoint import (
    Checkpoint,
    CheckpointError,
    load_checkpoint,
    read_config,
)
from engine.model.families import SEQ2SEQ_FAMILIES
from engine.model.families.languages import language_tag
from engine.model.hub import locate
from engine.model.marian.folder import as_checkpoint
from engine.model.tasks import guess_task

logger = logging.getLogger(__name__)

ShortlistMode = Literal["file", "exact"]

_WITHOUT_PLANS: dict[str, Callable[[Checkpoint], bool]] = {
    "a recurrent decoder": lambda checkpoint: checkpoint.is_recurrent,
    "attention to windows of a source": lambda checkpoint: checkpoint.has_windows,
}
"""What a checkpoint may have that no TensorRT plan is built for, and who has it."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")


class ImportRequestError(ValueError):
    """What was asked for makes no sense; the message says what."""


@dataclass(frozen=True)
class ImportRequest:
    """What a user wants to be served.

    `task` None and `name` "" are taken from the checkpoint, `source` and `target` "" are all
    languages that it has. `calibration` and `test` are files; without the first, INT8 takes its
    ranges from texts of our own. With `keep` the variants that stand in the repository already
    stay as they are; with `force` they are replaced. For `max_loss` and `plans` see `ExportJob`.
    With the `shortlist` of a "file" answers have only the tokens that the checkpoint's own allows;
    "exact" takes a short list of our own at each step, which has the best token for certain.
    """

    checkpoint: str
    repository: Path
    task: Task | None = None
    source: str = ""
    target: str = ""
    variants: Sequence[Precision] = DEFAULT_PRECISIONS
    name: str = ""
    template: str = ""
    calibration: Path | None = None
    test: Path | None = None
    revision: str | None = None
    allow_pickle: bool = False
    force: bool = False
    keep: bool = False
    serving: Serving = field(default_factory=Serving)
    max_loss: float = MAX_LOSS
    plans: PlanWish | None = None
    shortlist: ShortlistMode | None = None

    @property
    def model_name(self) -> str:
        """The name that the variants' names begin with.

        Raises:
            ImportRequestError: it can't be a folder of the repository.

        """
        name = self.name or Path(self.checkpoint).resolve().name
        if not _NAME.fullmatch(name):
            raise ImportRequestError(
                f"{name!r} can't be a model's name: give --name with at most 200 letters, digits, "
                "'.', '_' and '-'."
            )
        return name

    def missing(self) -> list[Precision]:
        """The variants that are still to be made."""
        if not self.keep:
            return list(self.variants)
        names = {one: f"{self.model_name}_{one}" for one in self.variants}
        return [one for one, name in names.items() if not stands(self.repository, name)]


def import_checkpoint(request: ImportRequest, stage: Stage = announce) -> list[Path]:
    """Writes the variants that are missing: all of them, or nothing.

    Raises:
        ImportRequestError: the request contradicts itself, or the name is none.
        TextFileError: a file of texts can't be read.
        CheckpointError: the checkpoint can't be had, is damaged, or does not fit what is asked.
        GateError: a variant does not agree with the checkpoint.
        PlanError: TensorRT can't build what is asked for.
        RepositoryError: the repository can't be written, or has one of the variants already.

    """
    precisions = request.missing()
    if not request.force:  # before anything is downloaded
        refuse_standing(request.repository, [f"{request.model_name}_{one}" for one in precisions])
    if not precisions:
        return []
    if request.plans:
        builder_for(request.plans)
    test = read_pairs(request.test) if request.test else ()
    calibration = read_texts(request.calibration) if request.calibration else None
    # A download shows its own progress, by bytes.
    found = locate(request.checkpoint, request.revision, request.allow_pickle)
    with as_checkpoint(found, shortlist=request.shortlist == "file") as folder:
        checkpoint, task = _load(request, folder, stage)
        check_layout(request.serving.parallel, checkpoint, plans=request.plans is not None)
        if checkpoint.kind == "encoder" and (request.source or request.target or request.template):
            raise ImportRequestError(
                f"an encoder reads a text as it is: for {task}, leave --source, --target and "
                "--template out."
            )
        for name, is_there in _WITHOUT_PLANS.items():
            if request.plans and is_there(checkpoint):
                raise ImportRequestError(
                    f"no TensorRT plan is built for {name}: leave --tensorrt out."
                )
        if request.shortlist == "exact" and (
            checkpoint.kind == "encoder" or "int8" not in request.variants
        ):
            raise ImportRequestError(
                "--shortlist exact is for int8 variants of encoder-decoders: leave it out, or give "
                "--precision int8."
            )
        if test and task == "question-answering":
            raise ImportRequestError("--test holds texts with answers; it can't measure questions.")
        job = ExportJob(
            checkpoint=checkpoint,
            name=request.model_name,
            languages=(request.source, request.target),
            repository=request.repository,
            calibration=calibration or _own_texts(checkpoint, precisions),
            test=test,
            serving=request.serving,
            task=task,
            template=request.template,
            max_loss=request.max_loss,
            plans=request.plans,
            require_language=calibration is not None,
            screens=request.shortlist == "exact",
        )
        return export(job, precisions, overwrite=request.force, stage=stage)


def _load(request: ImportRequest, folder: Path, stage: Stage) -> tuple[Checkpoint, Task]:
    task = request.task or _generation_task(folder)
    languages = _languages(request, folder)
    with stage("reading the weights"):
        checkpoint = load_checkpoint(
            folder, task, allow_pickle=request.allow_pickle, languages=languages
        )
    found = task or guess_task(checkpoint.head)
    if found is None:
        raise CheckpointError(
            f"{request.checkpoint} can do more than one task: give --task translation, "
            "summarization or question-answering."
        )
    return checkpoint, found


def _languages(request: ImportRequest, folder: Path) -> tuple[str, str]:
    """The pair that is asked for, or that the checkpoint names; "" is any."""
    if request.source or request.target:
        return language_tag(request.source) or "", language_tag(request.target) or ""
    named = named_pair(folder, read_config(folder))
    return named if all(named) else ("", "")


def _generation_task(folder: Path) -> Task | None:
    """The task of an encoder-decoder that leaves no doubt about it."""
    hf = read_config(folder)
    if hf["model_type"] not in SEQ2SEQ_FAMILIES:
        return None
    return guess_generation_task(folder, hf)


def _own_texts(checkpoint: Checkpoint, precisions: Sequence[Precision]) -> list[str]:
    proteins = checkpoint.family == "esm"
    if "int8" in precisions and not checkpoint.int8_scales:
        kind = "random amino-acid sequences" if proteins else "our own English sentences"
        logger.info("INT8 is calibrated on %s; --calibration with yours is better", kind)
    return random_proteins() if proteins else generic_texts()
