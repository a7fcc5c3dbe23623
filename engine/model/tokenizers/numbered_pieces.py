"""Tokenizers that SentencePiece runs, and whose pieces `vocab.json` numbers: Marian's and M2M100's.

`transformers` runs them so itself; the runtime does, too.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer

from engine.model.errors import CheckpointError
from engine.model.tokenizers.samples import TEXTS
from engine.model.tokenizers.sentence_piece import SentencePieceFile
from engine.model.tokenizers.special_tokens import LANGUAGE_CODE, StatedTokens
from engine.model.tokenizers.transformers_classes import of_transformers

SOURCE_MODELS = {"MarianTokenizer": "source.spm", "M2M100Tokenizer": "sentencepiece.bpe.model"}
"""By the class's name, the file that source texts are cut by."""

TARGET_MODELS = SOURCE_MODELS | {"MarianTokenizer": "target.spm"}
"""Likewise the file that answers are cut by."""


@dataclass(frozen=True)
class NumberedPieces:
    """`numbers` are the ids of pieces, `added` those of tokens that stand in texts as they are.

    `target_numbers` are the ids of an answer's pieces, the same where one vocabulary serves both.
    `silent` are those of `added` that an answer leaves out, `codes` the languages' own codes.
    """

    numbers: dict[str, int]
    target_numbers: dict[str, int]
    added: dict[str, int]
    silent: tuple[int, ...]
    codes: dict[str, int]


def read_pieces(folder: Path, name: str, stated: StatedTokens) -> NumberedPieces:
    """Those of the checkpoint in `folder`, whose tokenizer has the class `name`.

    Raises:
        CheckpointError: files are missing or damaged, or tokens were added and it is not told to
            which of two vocabularies.

    """
    for file in piece_files(name, stated):
        if not (folder / file).exists():
            raise CheckpointError(f"{folder} is incomplete: the tokenizer file {file} is missing.")
    theirs = of_transformers(folder)
    numbers: dict[str, int] = theirs.encoder
    separate = _is_separate(name, stated)
    taken = set(numbers.values())
    spelled = {
        index: token
        for index, token in {**theirs.added_tokens_decoder, **stated.added}.items()
        if (index not in taken or numbers.get(token.content) == index)
        and token.content not in stated.roles
        and not LANGUAGE_CODE.fullmatch(token.content)
        and (not token.special or stated.may_be_spelled(token.content))
    }
    if separate and spelled:
        token = next(iter(spelled.values())).content
        raise CheckpointError(
            f"{folder}: the token {token!r} was added, and source and target have vocabularies of "
            "their own: which of them has it is not told."
        )
    if name == "M2M100Tokenizer":
        given = {token.content: index for index, token in stated.added.items()}
        codes = {
            code: given.get(theirs.get_lang_token(code), index)
            for code, index in theirs.lang_code_to_id.items()
        }
    else:
        # transformers lists none where vocabularies are separate, and takes them nevertheless.
        codes = {one: numbers[one] for one in numbers if one[:2] == ">>" and one[-2:] == "<<"}
    return NumberedPieces(
        numbers=numbers,
        target_numbers=theirs.target_encoder if separate else numbers,
        added={token.content: index for index, token in spelled.items()},
        silent=tuple(index for index, token in spelled.items() if token.special),
        codes=codes,
    )


def require_alike(folder: Path, name: str, backend: Tokenizer, numbers: Mapping[str, int]) -> None:
    """Refuses a `tokenizer.json` that says otherwise than the SentencePiece files beside it.

    Raises:
        CheckpointError: they make different ids of a text.

    """
    model = SentencePieceFile(folder / SOURCE_MODELS[name])
    unknown = numbers["<unk>"]
    for text in TEXTS:
        pieces = model.processor.encode(text, out_type=str)
        expected = [numbers.get(piece, unknown) for piece in pieces]
        if backend.encode(text, add_special_tokens=False).ids != expected:
            raise CheckpointError(
                f"{folder}: tokenizer.json makes other ids than {model.path.name} of "
                f"{text[:60]!r}: leave the wrong one of the two out."
            )


def piece_files(name: str, stated: StatedTokens) -> list[str]:
    """The files that the runtime needs."""
    if name == "M2M100Tokenizer":
        return ["vocab.json", SOURCE_MODELS[name]]
    files = ["vocab.json", "source.spm", "target.spm"]
    return [*files, "target_vocab.json"] if _is_separate(name, stated) else files


def _is_separate(name: str, stated: StatedTokens) -> bool:
    return name == "MarianTokenizer" and stated.config.get("separate_vocabs") is True
