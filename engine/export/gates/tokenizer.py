"""Whether the runtime's tokenizer is the checkpoint's own: the same ids, and the same text again.

The checkpoint's is asked through its own library, `tokenizers` or `sentencepiece`, and not through
the classes of `transformers`, which may build another one of the same files.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tokenizers import Tokenizer

from engine.contract.manifest import Manifest
from engine.model.errors import CheckpointError, library_errors
from engine.model.tokenizers.numbered_pieces import SOURCE_MODELS, TARGET_MODELS
from engine.model.tokenizers.samples import SPELLED, TEXTS
from engine.model.tokenizers.sentence_piece import SentencePieceFile
from engine.model.tokenizers.tokenizer import CheckpointTokenizer
from engine.runtime.text.detokenizer import Detokenizer
from engine.runtime.text.vocabulary import Vocabulary, load_vocabulary
from engine.runtime.text.vocabulary import load_tokenizer as load_runtime_tokenizer

QUESTION = "What is it?"


def check_tokenizer(tokenizer: CheckpointTokenizer, manifest: Manifest, files: Path) -> None:
    """Compares the vocabulary of an encoder-decoder, whose files are in `files`, on sample texts.

    Raises:
        CheckpointError: it makes other ids or another text than the checkpoint's tokenizer.

    """
    with library_errors(f"the tokenizer {tokenizer.name} is not supported"):
        plain = replace(manifest, template="")
        _compare(tokenizer, load_vocabulary(files, plain), plain)


def _compare(tokenizer: CheckpointTokenizer, vocabulary: Vocabulary, plain: Manifest) -> None:
    own, own_target = _Own(tokenizer, SOURCE_MODELS), _Own(tokenizer, TARGET_MODELS)
    frame = _encode(vocabulary, plain, [""])[0]
    rows = _encode(vocabulary, plain, [*TEXTS, *own.spelled])
    for text, ids in zip([*TEXTS, *own.spelled], rows, strict=True):
        expected, _ = own.ids_and_text(text)
        inner = _between(ids, frame)
        if expected not in inner:
            raise _other_ids(tokenizer, text, expected, inner[0] if inner else ids)
        expected, again = own_target.ids_and_text(text)
        prefix = vocabulary.encode_prefix(text)
        if prefix != expected:
            raise _other_ids(tokenizer, text, expected, prefix)
        made = Detokenizer(vocabulary.token_bytes).push(expected, end=True)
        if made.strip() != again.strip():
            raise CheckpointError(
                f"the tokenizer {tokenizer.name} is not supported: it makes {again!r} where we "
                f"would make {made!r}."
            )
    for text, ids in zip(SPELLED, _encode(vocabulary, plain, SPELLED), strict=True):
        _require_text(tokenizer, text, _between(ids, frame)[0])


def check_encoder_tokenizer(
    tokenizer: CheckpointTokenizer, files: Path, types: int, *, pairs: bool
) -> None:
    """As `check_tokenizer`, for an encoder that knows `types` of texts and may read `pairs`.

    Special tokens are compared, too.

    Raises:
        CheckpointError: see there, or the tokenizer is one that this encoder can't be run with.

    """
    backend = tokenizer.backend
    if backend is None:
        raise CheckpointError(f"the tokenizer {tokenizer.name} is not supported for an encoder.")
    with library_errors(f"the tokenizer {tokenizer.name} is not supported"):
        largest = max(backend.encode(*((QUESTION, "a") if pairs else ("a",))).type_ids, default=0)
        if 0 < types <= largest:
            raise CheckpointError(
                f"the tokenizer {tokenizer.name} gives tokens the type {largest}, and the model "
                f"has {types} only (type_vocab_size)."
            )
        _compare_encoder(tokenizer, backend, files)


def _compare_encoder(tokenizer: CheckpointTokenizer, backend: Tokenizer, files: Path) -> None:
    ours, own = load_runtime_tokenizer(files), _Own(tokenizer, SOURCE_MODELS)
    for text in [*TEXTS, *own.spelled]:
        for pair in ((text,), (QUESTION, text)):
            expected, made = backend.encode(*pair), ours.encode(*pair)
            if made.ids != expected.ids or made.type_ids != expected.type_ids:
                raise _other_ids(tokenizer, text, expected.ids, made.ids)
    for text in SPELLED:
        _require_text(tokenizer, text, ours.encode(text, add_special_tokens=False).ids)


class _Own:
    """The checkpoint's tokenizer as its own library runs it; `spelled` texts hold added tokens.

    `models` are the files of one side, sources or answers, for those that SentencePiece runs.
    """

    def __init__(self, tokenizer: CheckpointTokenizer, models: Mapping[str, str]) -> None:
        self._tokenizer = tokenizer
        self._backend: Tokenizer | None = tokenizer.backend
        if self._backend is None:
            path = tokenizer.folder / models[tokenizer.name]
            self._model = SentencePieceFile(path).processor
            is_source = models is SOURCE_MODELS
            self._numbers = tokenizer.numbers if is_source else tokenizer.target_numbers
            tokens = list(tokenizer.added)
        else:
            added = self._backend.get_added_tokens_decoder()
            silent = tokenizer.silent_ids
            tokens = [
                token.content
                for index, token in added.items()
                if index in silent or not token.special
            ]
        self.spelled = [f"Two {token} words, and{token}another" for token in tokens[:8]]

    def ids_and_text(self, text: str) -> tuple[list[int], str]:
        """The ids of a text, and what they are as an answer."""
        if self._backend is not None:
            ids = self._backend.encode(text, add_special_tokens=False).ids
            return ids, self._backend.decode(ids, skip_special_tokens=True)
        return self._pieces(text)

    def _pieces(self, text: str) -> tuple[list[int], str]:
        """With pieces, between the added tokens."""
        tokenizer = self._tokenizer
        for token in sorted(tokenizer.added, key=len, reverse=True):
            index = tokenizer.added[token]
            before, found, after = text.partition(token)
            if found:
                (left, first), (right, last) = self._pieces(before), self._pieces(after)
                between = "" if index in tokenizer.silent_ids else token
                gap = " " if last else ""
                return [*left, index, *right], f"{first}{between}{gap}{last}"
        unknown = self._numbers["<unk>"]
        pieces = self._model.encode(text, out_type=str)
        known = [piece for piece in pieces if piece in self._numbers]
        return [self._numbers.get(piece, unknown) for piece in pieces], self._text(known)

    def _text(self, pieces: list[str]) -> str:
        text: str = self._model.decode(pieces)
        return text


def _encode(vocabulary: Vocabulary, manifest: Manifest, texts: Sequence[str]) -> list[list[int]]:
    return vocabulary.encode(texts, *manifest.example_languages)


def _between(ids: list[int], frame: list[int]) -> list[list[int]]:
    """What the ids of a text may be, given those of an empty one, which surround them."""
    size = len(ids) - len(frame)
    return [
        ids[at : at + size]
        for at in range(len(frame) + 1)
        if ids[:at] == frame[:at] and ids[at + size :] == frame[at:]
    ]


def _require_text(tokenizer: CheckpointTokenizer, text: str, ids: list[int]) -> None:
    """Refuses a tokenizer by which a user's text could become the end of sequence, or a code."""
    backend = tokenizer.backend
    if backend is None:
        return  # pieces never are
    special = {
        index: token.content
        for index, token in backend.get_added_tokens_decoder().items()
        if token.special and index not in tokenizer.silent_ids
    }
    unknown = tokenizer.stated.role("unk_token", "<unk>")
    found = [special[index] for index in ids if index in special]
    if wrong := [token for token in found if token not in (unknown, "<unk>", "[UNK]")]:
        raise CheckpointError(
            f"the tokenizer {tokenizer.name} is not supported: the text {text!r} would become "
            f"{wrong[0]!r}, which no text may."
        )


def _other_ids(
    tokenizer: CheckpointTokenizer, text: str, expected: list[int], made: list[int]
) -> CheckpointError:
    return CheckpointError(
        f"the tokenizer {tokenizer.name} is not supported: it makes {expected[:12]} of "
        f"{text[:60]!r}, and we would make {made[:12]}."
    )
