"""A SentencePiece file as a `tokenizers` one that makes the very same pieces.

`transformers` 5 builds its classes from the pieces alone: what the file says of normalization, of
white space and of the unknown piece gets lost. Here these come from the file; the class gives the
order of the ids, and the tokens around a text.
"""

import json
import sys
from pathlib import Path
from typing import Any

import sentencepiece
from tokenizers import Regex, Tokenizer, decoders, normalizers, pre_tokenizers
from transformers.utils import sentencepiece_model_pb2_new as sentencepiece_model_pb2

from engine.model.errors import CheckpointError, library_errors
from engine.model.tokenizers.samples import TEXTS

# The description of its files that sentencepiece 0.2.3 brings needs a newer protobuf than gRPC's
# packages allow. transformers has one of its own, but takes it only without sentencepiece.
sys.modules.setdefault("sentencepiece.sentencepiece_model_pb2", sentencepiece_model_pb2)

_NORMAL, _USER_DEFINED = 1, 4
_OF_CLASSES = {"Replace", "NFKD", "StripAccents", "Lowercase"}
"""What ALBERT's and DeBERTa's classes do to a text before SentencePiece gets it."""


class SentencePieceFile:
    """The file at `path`.

    Raises:
        CheckpointError: it is none.

    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with library_errors(f"{path} is no SentencePiece model"):
            content = path.read_bytes()
            self.proto: Any = sentencepiece_model_pb2.ModelProto.FromString(content)  # type: ignore[attr-defined]
            self.processor = sentencepiece.SentencePieceProcessor(model_proto=content)

    def converted(self, theirs: Tokenizer) -> Tokenizer:
        """The tokenizer that `transformers` has built of the file, with what it has lost.

        Raises:
            CheckpointError: it still makes other ids than the file.

        """
        content = json.loads(theirs.to_str())
        before = _steps_of_class(content["normalizer"])
        trainer, rules = self.proto.trainer_spec, self.proto.normalizer_spec
        unknown = self.proto.pieces[trainer.unk_id].piece
        model = content["model"]
        model["byte_fallback"] = trainer.byte_fallback
        if model["type"] == "Unigram":
            names = [piece for piece, _ in model["vocab"]]
            if unknown in names:
                model["unk_id"] = names.index(unknown)
            # The model finds them by itself, without a word's start behind them.
            symbols = {one.piece for one in self.proto.pieces if one.type == _USER_DEFINED}
            content["added_tokens"] = [
                one
                for one in content["added_tokens"]
                if one["special"] or one["content"] not in symbols
            ]
        for one in content["added_tokens"]:
            one["normalized"] = False  # such classes look for them before SentencePiece does
        backend = Tokenizer.from_str(json.dumps(content, ensure_ascii=False))
        backend.normalizer = normalizers.Sequence([*_steps(before), *_rules(rules)])
        backend.pre_tokenizer = pre_tokenizers.Metaspace(
            prepend_scheme="never", split=trainer.split_by_whitespace
        )
        if trainer.byte_fallback:
            backend.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace()])
        self._check(backend, before)
        return backend

    def _check(self, backend: Tokenizer, before: list[dict[str, Any]]) -> None:
        """Compares every piece's id, and the ids of texts, with the file's."""
        numbers = backend.get_vocab(with_added_tokens=True)
        ids = [numbers.get(one.piece, -1) for one in self.proto.pieces]
        unknown = self.proto.trainer_spec.unk_id
        offsets = {
            ids[index] - index
            for index, one in enumerate(self.proto.pieces)
            if one.type == _NORMAL and index != unknown
        }
        if len(offsets) > 1 or min(ids[unknown], *offsets) < 0:
            raise CheckpointError(
                f"{self.path}: its pieces would get other ids: save the tokenizer as a "
                "tokenizer.json."
            )
        prepare = normalizers.Sequence(_steps(before))
        backend.encode_special_tokens = True  # only while it is looked at
        for text in self._samples():
            expected = [ids[index] for index in self.processor.encode(prepare.normalize_str(text))]
            made = backend.encode(text, add_special_tokens=False).ids
            if made != expected:
                raise CheckpointError(
                    f"{self.path}: {text[:60]!r} becomes {expected[:12]} by SentencePiece, and "
                    f"would become {made[:12]}: save the tokenizer as a tokenizer.json."
                )
        backend.encode_special_tokens = False

    def _samples(self) -> list[str]:
        symbols = [one.piece for one in self.proto.pieces if one.type == _USER_DEFINED]
        ordinary = [symbol for symbol in symbols if not symbol.startswith(("<", "▁<", "["))]
        return [*TEXTS, *(f"a {symbol} b{symbol}c" for symbol in ordinary[:3])]


def _steps_of_class(normalizer: dict[str, Any] | None) -> list[dict[str, Any]]:
    """What a class does to a text before its file's own rules; white space is left to these."""
    every = (normalizer or {}).get("normalizers", [normalizer] if normalizer else [])
    return [one for one in every if one["type"] in _OF_CLASSES and not _is_white_space(one)]


def _is_white_space(step: dict[str, Any]) -> bool:
    return step["type"] == "Replace" and step["content"] in (" ", "▁")


def _steps(contents: list[dict[str, Any]]) -> list[Any]:
    found = []
    for content in contents:
        name = content["type"]
        if name == "Replace":
            pattern = content["pattern"]
            sought = pattern["String"] if "String" in pattern else Regex(pattern["Regex"])
            found.append(normalizers.Replace(sought, content["content"]))
        else:
            found.append(getattr(normalizers, name)())
    return found


def _rules(rules: Any) -> list[Any]:
    """The file's own normalization, with the space that begins a text."""
    steps: list[Any] = []
    if rules.precompiled_charsmap:
        # The library takes "\r\n" for one character, of which one space would be left.
        steps.append(normalizers.Replace("\r\n", "\n\n"))
        steps.append(normalizers.Precompiled(rules.precompiled_charsmap))
    if rules.remove_extra_whitespaces:
        steps.append(normalizers.Replace(Regex("^ +|[ ▁]+$"), ""))
        steps.append(normalizers.Replace(Regex(" {2,}"), " "))
    if rules.add_dummy_prefix:
        steps.append(normalizers.Prepend("▁"))
    return steps
