"""What `classify` returns."""

from dataclasses import dataclass

from seqway.results.generation import Timings, only


@dataclass(frozen=True, slots=True)
class LabelScore:
    """A label and its score from 0 to 1; `logit` is the model's output."""

    label: str
    score: float
    logit: float


@dataclass(frozen=True, slots=True)
class Classification:
    """The labels of one text, best first.

    `multi_label` tells whether each was scored by itself (sigmoid) or all share a sum of 1
    (softmax).
    `windows` is above 1 when the text did not fit as a whole.
    """

    labels: tuple[LabelScore, ...]
    multi_label: bool
    windows: int
    input_tokens: int
    warnings: tuple[str, ...]

    @property
    def label(self) -> str | None:
        """The best label; None when no label reached the threshold."""
        return self.labels[0].label if self.labels else None


@dataclass(frozen=True, slots=True)
class ClassifyResult:
    """The answer to a call: a classification for each text, in the order of the request."""

    classifications: tuple[Classification, ...]
    model: str
    timings: Timings

    @property
    def label(self) -> str | None:
        """The best label of a call that held one text; `ValueError` when it held several."""
        return only(self.classifications, "classifications").label

    @property
    def labels(self) -> tuple[LabelScore, ...]:
        """The labels of a call that held one text; `ValueError` when it held several."""
        return only(self.classifications, "classifications").labels
