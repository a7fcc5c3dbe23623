"""A checkpoint's own tokenizer: read from its files, and written as the runtime reads it.

`tokenizer.json` is what it says. `transformers` 5 builds most of its classes from the vocabulary
alone, whatever normalizer, model and pre-tokenizer the file has, so its classes are asked only
where a checkpoint has no such file.
"""

import json
import logging
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from transformers.models.mbart50.tokenization_mbart50 import (
    FAIRSEQ_LANGUAGE_CODES as MBART_CODES,
)
from transformers.models.nllb.tokenization_nllb import FAIRSEQ_LANGUAGE_CODES as NLLB_CODES

from engine.model.errors import CheckpointError, library_errors
from engine.model.tokenizers.numbered_pieces import (
    SOURCE_MODELS,
    piece_files,
    read_pieces,
    require_alike,
)
from engine.model.tokenizers.special_tokens import (
    LANGUAGE_CODE,
    StatedTokens,
    add_stated,
    read_object,
)
from engine.model.tokenizers.transformers_classes import (
    TOKENIZER_FILE,
    class_name,
    converted,
    of_transformers,
)

logger = logging.getLogger(__name__)

ADDED_TOKENS_FILE = "added_tokens.json"

CODED_CLASSES = {
    "MBartTokenizer": frozenset(MBART_CODES),
    "MBart50Tokenizer": frozenset(MBART_CODES),
    "NllbTokenizer": frozenset(NLLB_CODES),
}
"""Classes whose languages' codes are tokens as they stand, with the codes that they know."""


@dataclass(frozen=True)
class CheckpointTokenizer:
    """The tokenizer of the checkpoint in `folder`, by its class's `name`.

    `backend` is None for one that SentencePiece runs. `numbers` are the ids of its pieces, and
    `target_numbers` those of an answer's; they are the same but for two vocabularies. `codes` are
    the ids of the languages' own codes, `added` of tokens that SentencePiece does not know. A text
    may spell `silent_ids`, and an answer leaves them out. `code_lead` is what its own rules put
    before a code that begins a text.
    """

    folder: Path
    name: str
    stated: StatedTokens
    backend: Tokenizer | None
    numbers: dict[str, int]
    target_numbers: dict[str, int]
    codes: dict[str, int]
    added: dict[str, int] = field(default_factory=dict)
    silent_ids: tuple[int, ...] = ()
    code_lead: tuple[int, ...] = ()

    @property
    def eos_id(self) -> int:
        """The end of a source.

        Raises:
            CheckpointError: the vocabulary has none.

        """
        token = self.stated.role("eos_token", "</s>")
        if token not in self.numbers:
            raise CheckpointError(f"{self.folder}: the tokenizer's vocabulary has no {token!r}.")
        return self.numbers[token]

    def frame(self) -> tuple[list[int], list[int]]:
        """What stands before and after every text, where no language's code does."""
        if self.backend is None:
            return [], [self.eos_id]
        framed = self.backend.encode("a").ids
        bare = self.backend.encode("a", add_special_tokens=False).ids
        at = next(n for n in range(len(framed)) if framed[n : n + len(bare)] == bare)
        return framed[:at], framed[at + len(bare) :]


def load_tokenizer(
    folder: Path, vocab_size: int, target_vocab_size: int | None = None
) -> CheckpointTokenizer:
    """The tokenizer of the checkpoint in `folder`, whose model has `vocab_size` token ids.

    Those of answers are `target_vocab_size`, where it has others.

    Raises:
        CheckpointError: files are missing or damaged, contradict each other, it needs code of its
            own, or it makes ids that the model has no embedding for.

    """
    name, stated = class_name(folder), StatedTokens(folder)
    target_vocab_size = target_vocab_size or vocab_size
    has_json = (folder / TOKENIZER_FILE).exists()
    if name in SOURCE_MODELS and ((folder / SOURCE_MODELS[name]).exists() or not has_json):
        return _with_pieces(folder, name, stated, vocab_size, target_vocab_size)
    with library_errors(f"{folder} has a tokenizer that can't be run"):
        backend = _from_json(folder, name, stated) if has_json else converted(folder, stated)
        # One vocabulary has to fit both sides.
        return _with_backend(folder, name, stated, backend, min(vocab_size, target_vocab_size))


def save_tokenizer(tokenizer: CheckpointTokenizer, folder: Path) -> None:
    """Writes the files that the runtime reads, see `engine.runtime.text.vocabulary`."""
    if tokenizer.backend is not None:
        content = json.loads(tokenizer.backend.to_str())
        for token in content["added_tokens"]:
            token["special"] = token["special"] and token["id"] not in tokenizer.silent_ids
        _write(content, folder / TOKENIZER_FILE)
        return
    for name in piece_files(tokenizer.name, tokenizer.stated):
        shutil.copyfile(tokenizer.folder / name, folder / name)
    if tokenizer.added:
        _write(tokenizer.added, folder / ADDED_TOKENS_FILE)


def stated_languages(folder: Path) -> tuple[str, str]:
    """`source_lang` and `target_lang` of `tokenizer_config.json` (Marian); "" where not given."""
    content = read_object(folder / "tokenizer_config.json")
    return content.get("source_lang") or "", content.get("target_lang") or ""


def _from_json(folder: Path, name: str, stated: StatedTokens) -> Tokenizer:
    with library_errors(f"{folder} has no tokenizer that can be loaded"):
        backend = Tokenizer.from_file(str(folder / TOKENIZER_FILE))
    add_stated(backend, stated, folder)
    # Where languages' codes stand around a text, the class says how.
    if backend.post_processor is None and name not in (*CODED_CLASSES, *SOURCE_MODELS):
        theirs = of_transformers(folder)
        if theirs.is_fast:
            backend.post_processor = theirs.backend_tokenizer.post_processor
    return backend


def _with_backend(
    folder: Path, name: str, stated: StatedTokens, backend: Tokenizer, vocab_size: int
) -> CheckpointTokenizer:
    backend.no_truncation()
    backend.no_padding()
    numbers = backend.get_vocab(with_added_tokens=True)
    if name == "M2M100Tokenizer" and not CODED_CLASSES["NllbTokenizer"].isdisjoint(numbers):
        name = "NllbTokenizer"  # the family's other one, which some checkpoints do not name
    # What has a role is no text, also where the file does not mark it.
    no_text = {one for one in numbers if stated.is_no_text(one) or _is_code(name, one)}
    lead = _code_lead(name, backend, numbers)  # before the codes stand apart from texts
    backend = _with_special(backend, no_text)
    special = {index: one.content for index, one in _added(backend).items() if one.special}
    around = set(backend.encode("", "").tokens)
    spelled = {
        index
        for index, token in special.items()
        if token not in around and stated.may_be_spelled(token)
    }
    never = set(special) - spelled
    _require_known(folder, (index for index in numbers.values() if index not in never), vocab_size)
    _require_known(folder, backend.encode("a").ids, vocab_size)
    codes = {
        token.strip("_") if name == "M2M100Tokenizer" else token: index
        for index, token in sorted(special.items())
        if _is_code(name, token) or (name in CODED_CLASSES and LANGUAGE_CODE.fullmatch(token))
    }
    return CheckpointTokenizer(
        folder=folder,
        name=name,
        stated=stated,
        backend=backend,
        numbers=numbers,
        target_numbers=numbers,
        codes=_known_codes(folder, codes, vocab_size),
        silent_ids=tuple(sorted(spelled)),
        code_lead=lead,
    )


def _with_special(backend: Tokenizer, tokens: set[str]) -> Tokenizer:
    """The tokenizer that has all of these tokens of its vocabulary marked as special."""
    added = _added(backend).values()
    if any(one.content in tokens and not one.special for one in added):
        content = json.loads(backend.to_str())
        for one in content["added_tokens"]:
            one["special"] = one["special"] or one["content"] in tokens
        backend = Tokenizer.from_str(json.dumps(content, ensure_ascii=False))
    backend.add_special_tokens(sorted(tokens - {one.content for one in added}))
    return backend


def _with_pieces(
    folder: Path, name: str, stated: StatedTokens, vocab_size: int, target_vocab_size: int
) -> CheckpointTokenizer:
    pieces = read_pieces(folder, name, stated)
    for numbers, size in (
        (pieces.numbers, vocab_size),
        (pieces.target_numbers, target_vocab_size),
    ):
        _require_known(folder, [*numbers.values(), *pieces.added.values()], size)
    if (folder / TOKENIZER_FILE).exists():
        require_alike(folder, name, _from_json(folder, name, stated), pieces.numbers)
    return CheckpointTokenizer(
        folder=folder,
        name=name,
        stated=stated,
        backend=None,
        numbers=pieces.numbers,
        target_numbers=pieces.target_numbers,
        codes=_known_codes(folder, pieces.codes, vocab_size),
        added=pieces.added,
        silent_ids=pieces.silent,
    )


def _is_code(name: str, token: str) -> bool:
    """Whether a token is a language's code, of a class that has some."""
    match name:
        case "MarianTokenizer":
            return token.startswith(">>") and LANGUAGE_CODE.fullmatch(token) is not None
        case "M2M100Tokenizer":
            return token.startswith("__") and LANGUAGE_CODE.fullmatch(token) is not None
        case "T5Tokenizer":
            return token.startswith("<2") and LANGUAGE_CODE.fullmatch(token) is not None
        case _:
            return token in CODED_CLASSES.get(name, ())


def _code_lead(name: str, backend: Tokenizer, numbers: dict[str, int]) -> tuple[int, ...]:
    """What is before a code in "<2fr> A text editor.": a lone "▁", or nothing."""
    code = next((one for one in numbers if name == "T5Tokenizer" and _is_code(name, one)), None)
    if code is None:
        return ()
    ids = backend.encode(f"{code} a", add_special_tokens=False).ids
    return tuple(ids[: ids.index(numbers[code])]) if numbers[code] in ids else ()


def _known_codes(folder: Path, codes: dict[str, int], vocab_size: int) -> dict[str, int]:
    """Those that the model has: one trimmed to few languages may keep the tokenizer of many."""
    known = {code: index for code, index in codes.items() if index < vocab_size}
    if len(known) < len(codes):
        rest = [code for code in codes if code not in known]
        logger.info(
            "%s: the model has no embedding for %d of the tokenizer's languages, such as %s",
            *(folder.name, len(rest), rest[0]),
        )
    return known


def _require_known(folder: Path, ids: Iterable[int], vocab_size: int) -> None:
    largest = max(ids, default=0)
    if largest >= vocab_size:
        raise CheckpointError(
            f"{folder}: the tokenizer makes ids up to {largest}, and the model knows those below "
            f"{vocab_size} only."
        )


def _added(backend: Tokenizer) -> dict[int, Any]:
    found: dict[int, Any] = backend.get_added_tokens_decoder()
    return found


def _write(content: dict[str, Any], path: Path) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
