"""What a variant says about itself; docs/triton-protocol.md is the contract."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict


class Manifest(BaseModel):
    """The manifest of a variant; keys that are unknown here are left for others."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    base_model: str
    kind: Literal["seq2seq", "encoder"] = "seq2seq"
    task: str
    language_pairs: tuple[tuple[str, str], ...] = ()
    source_languages: tuple[str, ...] = ()
    target_languages: tuple[str, ...] = ()
    template: str = ""
    generation: Mapping[str, Any] = {}
    labels: tuple[str, ...] = ()
    multi_label: bool = False
    head: str = ""
    precision: str
    family: str = ""
    checkpoint_sha256: str = ""
    tokenizer_sha256: str = ""
    max_source_tokens: int = 0
    max_target_tokens: int = 0
    quality: Mapping[str, float] = {}
    speed: Mapping[str, float] = {}

    @property
    def generation_defaults(self) -> dict[str, float]:
        """The options that the checkpoint sets and that are numbers, or true (1) or false (0)."""
        return {
            name: float(value)
            for name, value in self.generation.items()
            if isinstance(value, (bool, int, float))
        }
