"""A SentencePiece model whose pieces a `vocab.json` numbers: Marian and M2M100."""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import sentencepiece

from engine.runtime.text.pieces import piece_bytes
from engine.runtime.text.source_format import SourceFormat, Span, user_span

MODEL_FILES = ("source.spm", "sentencepiece.bpe.model")
"""Marian's and M2M100's; Marian has `target.spm` too."""

ADDED_TOKENS_FILE = "added_tokens.json"
"""Tokens that stand in texts as they are, with their ids; what is between them is cut by itself."""

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
        added = folder / ADDED_TOKENS_FILE
        self._added = _numbers(added) if added.exists() else {}
        longest_first = sorted(self._added, key=len, reverse=True)
        self._split = re.compile(f"({'|'.join(map(re.escape, longest_first))})")
        self._format = format or SourceFormat(suffix=(self._ids["</s>"],))
        ids = (*self._target_ids.values(), *self._added.values())
        self.token_bytes = [b""] * (max(ids) + 1)
        for piece, index in self._target_ids.items():
            if piece not in _SPECIAL:
                self.token_bytes[index] = piece_bytes(piece)
        for token, index in self._added.items():
            self.token_bytes[index] = token.encode()

    def encode(self, texts: Sequence[str], source: str = "", target: str = "") -> list[list[int]]:
        """See `Vocabulary`."""
        prefix, suffix = self._format.frame(source, target)
        before, after = self._format.surroundings(source, target)
        whole = [f"{before}{text}{after}" for text in texts]
        if self._added:
            rows = [self._between_added(text, self._source, self._ids) for text in whole]
        else:
            encoded = self._source.encode(whole, out_type=str)
            rows = [_to_ids(pieces, self._ids) for pieces in encoded]
        return [[*prefix, *ids, *suffix] for ids in rows]

    def offsets(self, text: str, source: str = "", target: str = "") -> list[Span]:
        """See `Vocabulary`."""
        prefix, suffix = self._format.frame(source, target)
        before, after = self._format.surroundings(source, target)
        templated = f"{before}{text}{after}"
        spans: list[Span] = []
        for start, part in self._parts(templated):
            if part in self._added:
                spans.append((start, start + len(part)))
            else:
                encoded: Any = self._source.encode(part, out_type="offset_mapping")
                spans += [(start + first, start + last) for first, last in encoded["offsets"]]
        inner = [user_span(span, len(before), text) for span in spans]
        return [(0, 0)] * len(prefix) + inner + [(0, 0)] * len(suffix)

    def encode_prefix(self, text: str, target: str = "") -> list[int]:  # noqa: ARG002
        """See `Vocabulary`."""
        return self._between_added(text, self._target, self._target_ids)

    def _between_added(
        self, text: str, model: sentencepiece.SentencePieceProcessor, numbers: dict[str, int]
    ) -> list[int]:
        ids: list[int] = []
        for _, part in self._parts(text):
            if part in self._added:
                ids.append(self._added[part])
            else:
                ids += _to_ids(model.encode(part, out_type=str), numbers)
        return ids

    def _parts(self, text: str) -> Iterator[tuple[int, str]]:
        """The added tokens and what is between them, each with its place."""
        start = 0
        for part in self._split.split(text) if self._added else [text]:
            if part:
                yield start, part
            start += len(part)


def _load(path: Path) -> sentencepiece.SentencePieceProcessor:
    return sentencepiece.SentencePieceProcessor(model_file=str(path))


def _numbers(path: Path) -> dict[str, int]:
    numbers: dict[str, int] = json.loads(path.read_text(encoding="utf-8"))
    return numbers


def _to_ids(pieces: Sequence[str], numbers: dict[str, int]) -> list[int]:
    unknown = numbers["<unk>"]
    return [numbers.get(piece, unknown) for piece in pieces]
