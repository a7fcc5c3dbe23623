"""The manifest of a variant: what the exporter says and the runtime and the gateway read."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import msgspec

from engine.contract.quality import QualityModel

MANIFEST_FILE = "manifest.json"

Task = Literal["translation", "summarization", "classification", "question-answering"]


@dataclass(frozen=True)
class Manifest:
    """One variant of a model; `kind` says which of the two sorts of graphs it holds.

    "seq2seq" generates text, "encoder" gives logits. `max_source_tokens` and `max_target_tokens`
    are for one row, the end of sequence and, of the source, language codes and template included.
    `vocab_size` counts the tokens of answers, `pad_id` is what sources are padded with.
    `quality` is what was measured at export; empty when nothing was. `speed` is how many texts a
    second were answered then, by the machine that did it. `quality_model` estimates the quality of
    single answers; None where none was fitted.

    Languages: a bilingual model lists its `language_pairs`. A many-to-many model has none and
    serves any of `source_languages` with any of `target_languages` (BCP-47); `language_codes` maps
    these to the checkpoint's own codes ("fr" to "fra_Latn", "fr_XX", ">>fra<<").

    The source: `template` is put around the text ("summarize: {text}"; "{source}" and "{target}"
    stand for language names), `source_format` says how language codes are put into it, see
    `engine.runtime.text.vocabulary`.

    Decoding: `decoder_start_ids` (by target language, or "") come before `decoder_start_id`;
    `forced_bos_ids` (by target language, or "") are the first tokens that are forced. `generation`
    holds defaults of the options in `engine.contract.options`, and "forced_eos_id",
    "suppressed_ids", "begin_suppressed_ids" and "bad_words". `alignment_layers` are the decoder
    layers whose cross-attention is averaged for alignment; empty: the runtime chooses. `silent_ids`
    are tokens that a text may spell and that an answer leaves out. `decoder_unit` says whether a
    layer remembers keys and values of all its tokens, or one vector (`engine.model.layers`).

    Encoders: `head` is "classification" or "spans"; a `multi_label` one scores each label alone.
    """

    name: str
    base_model: str
    task: Task
    precision: str
    family: str
    checkpoint_sha256: str
    tokenizer_sha256: str
    max_source_tokens: int
    vocab_size: int
    pad_id: int
    kind: Literal["seq2seq", "encoder"] = "seq2seq"
    quality: dict[str, float] = field(default_factory=dict)
    speed: dict[str, float] = field(default_factory=dict)
    quality_model: QualityModel | None = None

    language_pairs: tuple[tuple[str, str], ...] = ()
    source_languages: tuple[str, ...] = ()
    target_languages: tuple[str, ...] = ()
    language_codes: dict[str, str] = field(default_factory=dict)

    template: str = ""
    source_format: dict[str, Any] = field(default_factory=dict)

    max_target_tokens: int = 0
    decoder_layers: int = 0
    decoder_heads: int = 0
    head_width: int = 0
    decoder_unit: Literal["attention", "ssru"] = "attention"
    eos_id: int = 0
    decoder_start_id: int = 0
    decoder_start_ids: dict[str, int] = field(default_factory=dict)
    forced_bos_ids: dict[str, int] = field(default_factory=dict)
    generation: dict[str, Any] = field(default_factory=dict)
    alignment_layers: list[int] = field(default_factory=list)
    silent_ids: list[int] = field(default_factory=list)

    head: Literal["", "classification", "spans"] = ""
    labels: tuple[str, ...] = ()
    multi_label: bool = False
    token_type_ids: bool = False

    @property
    def example_languages(self) -> tuple[str, str]:
        """A pair that the model serves, for calibration and checks; "" without languages."""
        if self.language_pairs:
            return self.language_pairs[0]
        if not self.source_languages or not self.target_languages:
            return "", ""
        source = "en" if "en" in self.source_languages else self.source_languages[0]
        others = [target for target in self.target_languages if target != source]
        return source, (others or self.target_languages)[0]

    @property
    def is_recurrent(self) -> bool:
        """Whether the decoder remembers a vector a layer, and no keys and values of its tokens."""
        return self.decoder_unit == "ssru"

    @property
    def generation_defaults(self) -> dict[str, float]:
        """The options that the checkpoint sets and that are numbers, or true (1) or false (0)."""
        return {
            name: float(value)
            for name, value in self.generation.items()
            if isinstance(value, bool | int | float)
        }

    def to_json(self) -> str:
        """One JSON object."""
        return json.dumps(asdict(self), ensure_ascii=False)


_DECODER = msgspec.json.Decoder(Manifest)


def decode_manifest(content: str | bytes) -> Manifest:
    """Reads a manifest; unknown keys are ignored.

    Raises:
        msgspec.MsgspecError: `content` is not a manifest.

    """
    return _DECODER.decode(content)


def read_manifest(folder: Path) -> Manifest:
    """Reads the manifest of the variant whose files are in `folder`.

    Raises:
        FileNotFoundError: `folder` is not a variant's.
        msgspec.MsgspecError: the file is not a manifest.

    """
    return decode_manifest((folder / MANIFEST_FILE).read_bytes())
