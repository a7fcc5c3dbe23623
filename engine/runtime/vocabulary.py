"""Text to token ids, and token ids to the bytes that they stand for.

A checkpoint brings either a `tokenizer.json` (Hugging Face tokenizers) or Marian's `source.spm` and
`vocab.json`.
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import sentencepiece
from tokenizers import Tokenizer

TOKENIZER_FILES = ("tokenizer.json", "source.spm", "target.spm", "vocab.json")

_BYTE = re.compile(r"<0x([0-9A-F]{2})>")


class Vocabulary(Protocol):
    """What the runtime needs of a tokenizer. `token_bytes[id]` is b"" for a special token."""

    token_bytes: list[bytes]

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text, its end of sequence included."""


class HuggingFaceVocabulary:
    """A `tokenizer.json` whose pieces mark a word's start with "▁" (SentencePiece)."""

    def __init__(self, path: Path) -> None:
        self._tokenizer = Tokenizer.from_file(str(path))
        # A user's text that spells "</s>" is text, not the end of the sequence.
        self._tokenizer.encode_special_tokens = True
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        special = self._tokenizer.get_added_tokens_decoder()
        size = self._tokenizer.get_vocab_size()
        pieces = (self._tokenizer.id_to_token(index) or "" for index in range(size))
        self.token_bytes = [
            b"" if index in special else piece_bytes(piece) for index, piece in enumerate(pieces)
        ]

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """See `Vocabulary`."""
        return [encoding.ids for encoding in self._tokenizer.encode_batch_fast(list(texts))]


class MarianVocabulary:
    """Marian's two SentencePiece models, whose pieces `vocab.json` numbers."""

    def __init__(self, folder: Path) -> None:
        numbers = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
        self._ids: dict[str, int] = numbers
        self._unknown = numbers["<unk>"]
        self._end = numbers["</s>"]
        self._source = sentencepiece.SentencePieceProcessor(model_file=str(folder / "source.spm"))
        self.token_bytes = [b""] * (max(numbers.values()) + 1)
        for piece, index in numbers.items():
            if piece not in ("</s>", "<unk>", "<pad>"):
                self.token_bytes[index] = piece_bytes(piece)

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """See `Vocabulary`."""
        return [
            [*(self._ids.get(piece, self._unknown) for piece in pieces), self._end]
            for pieces in self._source.encode(list(texts), out_type=str)
        ]


def load_vocabulary(folder: Path, size: int) -> Vocabulary:
    """The vocabulary whose files are in `folder`, for a model that makes ids below `size`.

    Raises:
        FileNotFoundError: there is none.

    """
    vocabulary: Vocabulary
    if (folder / "tokenizer.json").exists():
        vocabulary = HuggingFaceVocabulary(folder / "tokenizer.json")
    elif (folder / "source.spm").exists():
        vocabulary = MarianVocabulary(folder)
    else:
        raise FileNotFoundError(f"{folder} has neither tokenizer.json nor source.spm.")
    # Checkpoints often round the size of their output up; such ids stand for nothing.
    vocabulary.token_bytes += [b""] * (size - len(vocabulary.token_bytes))
    return vocabulary


def piece_bytes(piece: str) -> bytes:
    """The UTF-8 bytes of a SentencePiece piece: "▁" is a space, "<0xE2>" a byte."""
    if match := _BYTE.fullmatch(piece):
        return bytes([int(match[1], 16)])
    return piece.replace("▁", " ").encode()
