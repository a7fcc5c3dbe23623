"""Texts in, labels out."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from engine.contract.readings import Failure, Logits, Reading
from services.inference.errors import ModelFailedError, content_field
from services.inference.models.catalogue import CLASSIFICATION, Catalogue
from services.inference.rows.account import Account
from services.inference.rows.encoder import Element, Encoder, error_of_failure, read_by
from services.inference.rows.recovery import Route

# Of a multi-label model, what is more likely than not.
_MULTI_LABEL_THRESHOLD = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassificationRequest:
    """What to classify, and how; `deadline` is a time of the running event loop's clock.

    `top_k` 0 is all labels.  None is what the checkpoint says (`multi_label`), and for `threshold`
    0.5 for a multi-label model and no limit for others.  A batch job keeps one without contents
    and deadline, which each of its chunks adds.
    """

    contents: Sequence[str] = ()
    deadline: float = math.inf
    model: str = ""
    top_k: int = 0
    threshold: float | None = None
    multi_label: bool | None = None
    kind: Literal["classification"] = "classification"


@dataclass(frozen=True, slots=True)
class ScoredLabel:
    """A label and how well it fits, from 0 to 1."""

    label: str
    score: float
    logit: float


@dataclass(frozen=True, slots=True)
class TextLabels:
    """The labels of one text, best first."""

    labels: Sequence[ScoredLabel]
    multi_label: bool
    windows: int
    input_tokens: int
    warnings: Sequence[str]


@dataclass(frozen=True, slots=True)
class ClassificationAnswer:
    """One classification for each of a call's contents, in the same order."""

    classifications: Sequence[TextLabels]
    account: Account


class Classifier:
    """Has an encoder read texts, and turns its logits into scores."""

    def __init__(self, encoder: Encoder, catalogue: Catalogue) -> None:
        self._encoder = encoder
        self._catalogue = catalogue

    async def classify(self, job: ClassificationRequest) -> ClassificationAnswer:
        """The answer; raises a ServiceError, also when only one of the texts failed."""
        manifest = self._catalogue.pick_only(CLASSIFICATION, job.model).manifest
        account = Account(manifest.name)
        multi_label = manifest.multi_label if job.multi_label is None else job.multi_label
        elements = [Element(text) for text in job.contents]
        route = Route(self._catalogue, manifest.name, job.model)
        readings = await read_by(self._encoder, route, elements, {}, job.deadline)
        account.variant = route.variant
        classifications = []
        for index, reading in enumerate(readings):
            logits = _logits(reading, len(manifest.labels), index)
            account.input_tokens += logits.input_tokens
            classifications.append(_classification(job, manifest.labels, multi_label, logits))
        return ClassificationAnswer(classifications, account.close())


def _logits(reading: Reading, labels: int, content: int) -> Logits:
    field = content_field(content)
    if isinstance(reading, Failure):
        raise error_of_failure(reading, field, content)
    if not isinstance(reading, Logits) or len(reading.logits) != labels:
        raise ModelFailedError(f"the model did not score its {labels} labels", content=content)
    if not all(map(math.isfinite, reading.logits)):
        raise ModelFailedError(f"the model's scores of {field} are not finite", content=content)
    return reading


def _classification(
    job: ClassificationRequest, labels: Sequence[str], multi_label: bool, logits: Logits
) -> TextLabels:
    scores = [_sigmoid(x) for x in logits.logits] if multi_label else _softmax(logits.logits)
    least = job.threshold
    if least is None:
        least = _MULTI_LABEL_THRESHOLD if multi_label else 0.0
    scored = map(ScoredLabel, labels, scores, logits.logits)
    fitting = sorted((each for each in scored if each.score >= least), key=lambda each: -each.logit)
    return TextLabels(
        labels=fitting[: job.top_k or None],
        multi_label=multi_label,
        windows=logits.windows,
        input_tokens=logits.input_tokens,
        warnings=windows_warning("text", logits.windows),
    )


def windows_warning(what: str, windows: int) -> list[str]:
    """What to tell of a text that the model could not read at once."""
    if windows < 2:
        return []
    return [f"the {what} was read in {windows} windows: it is longer than the model takes at once"]


def _softmax(logits: Sequence[float]) -> list[float]:
    highest = max(logits, default=0.0)
    weights = [math.exp(logit - highest) for logit in logits]
    total = sum(weights)
    return [weight / total for weight in weights]


def _sigmoid(logit: float) -> float:
    if logit < 0:
        return math.exp(logit) / (1 + math.exp(logit))
    return 1 / (1 + math.exp(-logit))
