"""The manifest of a variant: what the exporter says and the runtime and the gateway read."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

MANIFEST_FILE = "manifest.json"


@dataclass(frozen=True)
class Manifest:
    """One variant of a model.

    `max_source_tokens` and `max_target_tokens` are for one row, the end of sequence included.
    `quality` is what was measured at export; empty when nothing was.
    """

    name: str
    base_model: str
    task: str
    language_pairs: list[list[str]]
    precision: str
    family: str
    checkpoint_sha256: str
    tokenizer_sha256: str
    max_source_tokens: int
    max_target_tokens: int
    vocab_size: int
    decoder_layers: int
    decoder_heads: int
    head_width: int
    decoder_start_id: int
    eos_id: int
    pad_id: int
    quality: dict[str, float] = field(default_factory=dict)

    def to_json(self) -> str:
        """One JSON object."""
        return json.dumps(asdict(self), ensure_ascii=False)


def read_manifest(folder: Path) -> Manifest:
    """Reads the manifest of the variant whose files are in `folder`.

    Raises:
        FileNotFoundError: `folder` is not a variant's.

    """
    return Manifest(**json.loads((folder / MANIFEST_FILE).read_text(encoding="utf-8")))
