"""Text to token ids, and token ids to the bytes that they stand for."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from engine.contract.manifest import Manifest
from engine.runtime.text.hugging_face import (
    TOKENIZER_FILE,
    HuggingFaceVocabulary,
    load_tokenizer,
)
from engine.runtime.text.sentence_piece import (
    ADDED_TOKENS_FILE,
    MODEL_FILES,
    SentencePieceVocabulary,
)
from engine.runtime.text.source_format import Span, UnknownLanguageError, read_source_format

__all__ = [
    "TOKENIZER_FILES",
    "UnknownLanguageError",
    "Vocabulary",
    "load_tokenizer",
    "load_vocabulary",
]

TOKENIZER_FILES = (
    TOKENIZER_FILE,
    *MODEL_FILES,
    *("target.spm", "vocab.json", "target_vocab.json", ADDED_TOKENS_FILE),
)


class Vocabulary(Protocol):
    """What the runtime needs of a tokenizer. `token_bytes[id]` is b"" for a special token.

    Languages are BCP-47 codes of the manifest. A bilingual model's need not be named; where a
    source has no language code in it they are ignored. A language that the source needs and the
    model does not serve raises `UnknownLanguageError`.
    """

    token_bytes: list[bytes]

    def encode(self, texts: Sequence[str], source: str = "", target: str = "") -> list[list[int]]:
        """The ids of each text: template, language codes and end of sequence included."""

    def offsets(self, text: str, source: str = "", target: str = "") -> list[Span]:
        """For each id of `encode([text])[0]`, the code points of `text` that it covers.

        `(0, 0)` for one that covers none: template, codes, end of sequence, a lone space.
        """

    def encode_prefix(self, text: str, target: str = "") -> list[int]:
        """The ids of the start of an answer: nothing is put around them."""


def load_vocabulary(folder: Path, manifest: Manifest) -> Vocabulary:
    """The vocabulary whose files are in `folder`, for a variant with this manifest.

    Raises:
        FileNotFoundError: there is none.

    """
    source_format = read_source_format(manifest)
    vocabulary: Vocabulary
    if (folder / TOKENIZER_FILE).exists():
        vocabulary = HuggingFaceVocabulary(folder, source_format)
    elif any((folder / name).exists() for name in MODEL_FILES):
        vocabulary = SentencePieceVocabulary(folder, source_format)
    else:
        raise FileNotFoundError(f"{folder} has neither tokenizer.json nor source.spm.")
    # Checkpoints often round the size of their output up; such ids stand for nothing.
    vocabulary.token_bytes += [b""] * (manifest.vocab_size - len(vocabulary.token_bytes))
    for index in manifest.silent_ids:
        vocabulary.token_bytes[index] = b""
    return vocabulary
