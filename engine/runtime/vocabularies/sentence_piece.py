"""A SentencePiece model whose pieces a `vocab.json` numbers: Marian and M2M100."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import sentencepiece

from engine.runtime.vocabularies.pieces import piece_bytes
from engine.runtime.vocabularies.source_format import SourceFormat, Span, user_span

MODEL_FILES = ("source.spm", "sentencepiece.bpe.model")
"""Marian's and M2M100's; Marian has `target.spm` too."""

_SPECIAL = ("<s>", "</s>", "<unk>", "<pad>")


class SentencePieceVocabulary:
    """`target.spm` and `target_vocab.json`, where there are any, number the target's pieces."""

    def __init__(self, folder: Path, format: SourceFormat | None) -> None:  # noqa: A002
        model = next(folder / name for name in MODEL_FILES if (folder / name).exists())
        target_model = folder / "target.spm"
        self._source = _load(model)
        self._target = _load(target_model) if target_model.exists() else self._source
        self._ids = _numbers(folder / "vocab.json")
        target_numbers = folder / "target_vocab.json"
        self._target_ids = _numbers(target_numbers) if target_numbers.exists() else self._ids
        self._format = format or SourceFormat(suffix=(self._ids["</s>"],))
        self.token_bytes = [b""] * (max(self._target_ids.values()) + 1)
        for piece, index in self._target_ids.items():
            if piece not in _SPECIAL:
                self.token_bytes[index] = piece_bytes(piece)

    def encode(self, texts: Sequence[str], source: str = "", target: str = "") -> list[list[int]]:
        """See `Vocabulary`."""
        prefix, suffix = self._format.frame(source, target)
        before, after = self._format.surroundings(source, target)
        rows = self._source.encode([f"{before}{text}{after}" for text in texts], out_type=str)
        return [[*prefix, *_to_ids(pieces, self._ids), *suffix] for pieces in rows]

    def offsets(self, text: str, source: str = "", target: str = "") -> list[Span]:
        """See `Vocabulary`."""
        prefix, suffix = self._format.frame(source, target)
        before, after = self._format.surroundings(source, target)
        encoded: Any = self._source.encode(f"{before}{text}{after}", out_type="offset_mapping")
        spans = [user_span(span, len(before), text) for span in encoded["offsets"]]
        return [(0, 0)] * len(prefix) + spans + [(0, 0)] * len(suffix)

    def encode_prefix(self, text: str, target: str = "") -> list[int]:  # noqa: ARG002
        """See `Vocabulary`."""
        return _to_ids(self._target.encode(text, out_type=str), self._target_ids)


def _load(path: Path) -> sentencepiece.SentencePieceProcessor:
    return sentencepiece.SentencePieceProcessor(model_file=str(path))


def _numbers(path: Path) -> dict[str, int]:
    numbers: dict[str, int] = json.loads(path.read_text(encoding="utf-8"))
    return numbers


def _to_ids(pieces: Sequence[str], numbers: dict[str, int]) -> list[int]:
    unknown = numbers["<unk>"]
    return [numbers.get(piece, unknown) for piece in pieces]
