"""What a variant says about itself; docs/triton-protocol.md is the contract."""

from pydantic import BaseModel, ConfigDict


class Manifest(BaseModel):
    """The manifest of a variant; keys that are unknown here are left for others."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    base_model: str
    task: str
    language_pairs: tuple[tuple[str, str], ...] = ()
    precision: str
    family: str = ""
    checkpoint_sha256: str = ""
    tokenizer_sha256: str = ""
    max_source_tokens: int = 0
    max_target_tokens: int = 0
    quality: dict[str, float] = {}
