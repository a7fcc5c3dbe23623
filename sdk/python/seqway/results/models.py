"""What `list_models` and `get_model` return."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LanguagePair:
    """A direction of translation, in BCP-47 codes."""

    source: str
    target: str

    def __str__(self) -> str:
        return f"{self.source} → {self.target}"


@dataclass(frozen=True, slots=True)
class Model:
    """One variant of a model: a checkpoint in one precision.

    A translator has either `language_pairs`, or translates any of `source_languages` to any of
    `target_languages`.  `labels` are a classifier's, in the order of its logits.
    `generation_defaults` are the generation options that hold when a call does not set them.
    """

    name: str
    base_model: str
    task: str
    language_pairs: tuple[LanguagePair, ...]
    source_languages: tuple[str, ...]
    target_languages: tuple[str, ...]
    labels: tuple[str, ...]
    multi_label: bool
    precision: str
    max_source_tokens: int
    max_target_tokens: int
    generation_defaults: Mapping[str, float]
    family: str
    checkpoint_sha256: str
    quality: Mapping[str, float]
    ready: bool
