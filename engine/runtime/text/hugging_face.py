"""A `tokenizer.json` (Hugging Face tokenizers): every family but Marian and M2M100."""

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from engine.runtime.text.pieces import (
    byte_level_bytes,
    piece_bytes,
    word_bytes,
    word_piece_bytes,
)
from engine.runtime.text.source_format import SourceFormat, Span, user_span

TOKENIZER_FILE = "tokenizer.json"


def load_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer in `folder`, which takes all of a text as text and never cuts or pads.

    A text that spells a special token ("</s>", "en_XX") never becomes that token.

    Raises:
        FileNotFoundError: there is none.

    """
    return _build(_read(folder))


class HuggingFaceVocabulary:
    """Without a `format`, the tokenizer's own post-processor puts the frame around a text."""

    def __init__(self, folder: Path, format: SourceFormat | None) -> None:  # noqa: A002
        content = _read(folder)
        self._tokenizer = _build(content)
        self._format = format or SourceFormat()
        self._own_frame = format is None
        self.token_bytes = _token_bytes(content, self._tokenizer)

    def encode(self, texts: Sequence[str], source: str = "", target: str = "") -> list[list[int]]:
        """See `Vocabulary`."""
        prefix, suffix = self._format.frame(source, target)
        before, after = self._format.surroundings(source, target)
        encodings = self._tokenizer.encode_batch_fast(
            [f"{before}{text}{after}" for text in texts], add_special_tokens=self._own_frame
        )
        return [[*prefix, *encoding.ids, *suffix] for encoding in encodings]

    def offsets(self, text: str, source: str = "", target: str = "") -> list[Span]:
        """See `Vocabulary`."""
        prefix, suffix = self._format.frame(source, target)
        before, after = self._format.surroundings(source, target)
        encoding = self._tokenizer.encode(
            f"{before}{text}{after}", add_special_tokens=self._own_frame
        )
        spans = [user_span(span, len(before), text) for span in encoding.offsets]
        return [(0, 0)] * len(prefix) + spans + [(0, 0)] * len(suffix)

    def encode_prefix(self, text: str, target: str = "") -> list[int]:  # noqa: ARG002
        """See `Vocabulary`."""
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids


def _read(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / TOKENIZER_FILE).read_text(encoding="utf-8"))
    return content


def _build(content: dict[str, Any]) -> Tokenizer:
    tokenizer = Tokenizer.from_str(json.dumps(_disarmed(content), ensure_ascii=False))
    tokenizer.encode_special_tokens = True
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _disarmed(content: dict[str, Any]) -> dict[str, Any]:
    """The same tokenizer, whose special tokens no text can spell.

    Models that look up whole words or pieces have the special tokens among them (a unigram model
    with the best score of all), and would find them in a text even when the tokenizer does not look
    for special tokens. Their names get a space in front, which no word or piece of a text has: the
    pre-tokenizer splits at spaces, or makes "▁" of them.
    """
    model = content["model"]
    if model["type"] == "BPE":
        return content
    special = {token["content"] for token in content["added_tokens"] if token["special"]}

    def rename(piece: str) -> str:
        return f" {piece}" if piece in special else piece

    if model["type"] == "Unigram":
        pieces: Any = [[rename(piece), score] for piece, score in model["vocab"]]
        changed = model | {"vocab": pieces}
    else:
        numbers = {rename(piece): index for piece, index in model["vocab"].items()}
        changed = model | {"vocab": numbers, "unk_token": rename(model["unk_token"])}
    added = [token | {"content": rename(token["content"])} for token in content["added_tokens"]]
    return content | {"model": changed, "added_tokens": added}


def _token_bytes(content: dict[str, Any], tokenizer: Tokenizer) -> list[bytes]:
    """What each id stands for; b"" for a special token, and for an id without a token."""
    as_bytes = _as_bytes(content.get("decoder"))
    special = {token["id"] for token in content["added_tokens"] if token["special"]}
    numbers = tokenizer.get_vocab(with_added_tokens=True)
    table = [b""] * (max(numbers.values()) + 1)
    for piece, index in numbers.items():
        if index not in special:
            table[index] = as_bytes(piece)
    return table


def _as_bytes(decoder: dict[str, Any] | None) -> Callable[[str], bytes]:
    """What the decoder makes of one token."""
    if decoder is None:
        return word_bytes
    if decoder["type"] == "WordPiece":
        return partial(
            word_piece_bytes, prefix=decoder["prefix"], clean_up=bool(decoder["cleanup"])
        )
    return byte_level_bytes if _is_byte_level(decoder) else piece_bytes


def _is_byte_level(decoder: dict[str, Any]) -> bool:
    return decoder["type"] == "ByteLevel" or any(map(_is_byte_level, decoder.get("decoders", ())))
