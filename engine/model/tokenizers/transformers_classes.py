"""The classes that `transformers` has for tokenizers: asked where a checkpoint has older files."""

import warnings
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import AutoTokenizer
from transformers.models.auto.tokenization_auto import (
    TOKENIZER_MAPPING_NAMES,
    tokenizer_class_from_name,
)

from engine.model.errors import CheckpointError, in_one_line
from engine.model.tokenizers.sentence_piece import SentencePieceFile
from engine.model.tokenizers.special_tokens import StatedTokens, add_stated, read_object

TOKENIZER_FILE = "tokenizer.json"

_OPTIONAL_FILES = ("tokenizer_file", "tokenizer_config_file", "target_vocab_file")


def class_name(folder: Path) -> str:
    """The class that the checkpoint names for its tokenizer, or that its family has; or ""."""
    return _stated_name(folder).removesuffix("Fast")


def _stated_name(folder: Path) -> str:
    config = read_object(folder / "config.json")
    named = read_object(folder / "tokenizer_config.json").get("tokenizer_class")
    named = named or config.get("tokenizer_class")
    name = named or TOKENIZER_MAPPING_NAMES.get(str(config.get("model_type"))) or ""
    return name if isinstance(name, str) else ""


def converted(folder: Path, stated: StatedTokens) -> Tokenizer:
    """What `transformers` builds of older files, with what it loses of them.

    Raises:
        CheckpointError: files are missing or damaged, or the class is not supported.

    """
    theirs = of_transformers(folder)
    name = type(theirs).__name__
    if name == "EsmTokenizer":
        return _protein_tokenizer(theirs)
    if not theirs.is_fast:
        raise CheckpointError(f"{folder}: the tokenizer {name} is not supported.")
    backend: Tokenizer = theirs.backend_tokenizer
    files = type(theirs).vocab_files_names.values()
    model = next((folder / file for file in files if file.endswith(".model")), None)
    pieces = model is not None and model.exists()
    if model is not None and pieces:
        backend = SentencePieceFile(model).converted(backend)
    add_stated(backend, stated, folder, normalized=None if not pieces else False)
    for index, token in stated.added.items():
        if (found := backend.token_to_id(token.content)) != index:
            raise CheckpointError(
                f"{folder}: the added token {token.content!r} has the id {index} and would get "
                f"{found}: save the tokenizer as a tokenizer.json."
            )
    return backend


def of_transformers(folder: Path) -> Any:
    """The tokenizer as `transformers` builds it.

    Raises:
        CheckpointError: files are missing or damaged.

    """
    # Without its files transformers fails in strange ways, or makes up an empty vocabulary.
    if missing := _missing_file(folder, tokenizer_class_from_name(_stated_name(folder))):
        raise CheckpointError(f"{folder} is incomplete: the tokenizer file {missing} is missing.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of packages that Marian's class recommends
            tokenizer = AutoTokenizer.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False
            )
    # Each tokenizer class fails in its own way on a damaged file.
    except Exception as error:
        raise CheckpointError(
            f"{folder} has no tokenizer that can be loaded: {in_one_line(error)}"
        ) from error
    if missing := _missing_file(folder, type(tokenizer)):
        raise CheckpointError(f"{folder} is incomplete: the tokenizer file {missing} is missing.")
    return tokenizer


def _missing_file(folder: Path, tokenizer_class: Any) -> str:
    """The first file of the class that is not there; "" when it has all that it needs."""
    if tokenizer_class is None:
        return ""
    names: dict[str, str] = tokenizer_class.vocab_files_names
    takes_json = "tokenizer_file" in names
    if takes_json and (folder / TOKENIZER_FILE).exists():
        return ""
    needed = [name for key, name in names.items() if key not in _OPTIONAL_FILES]
    missing = next((name for name in needed if not (folder / name).exists()), "")
    if not needed or (missing and takes_json):
        return " or ".join(filter(None, (TOKENIZER_FILE, missing)))
    return missing


def _protein_tokenizer(tokenizer: Any) -> Tokenizer:
    """ESM's as a `tokenizers` one: each residue is a token, whatever else a word makes "<unk>"."""
    numbers: dict[str, int] = {token: index for index, token in enumerate(tokenizer.all_tokens)}
    special = set(tokenizer.all_special_tokens)
    built = Tokenizer(models.WordLevel(numbers, unk_token=tokenizer.unk_token))
    built.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    built.add_special_tokens([token for token in numbers if token in special])
    built.add_tokens([token for token in numbers if token not in special])
    start, end = tokenizer.cls_token, tokenizer.eos_token
    if missing := [token for token in (start, end) if token not in numbers]:
        raise CheckpointError(f"the tokenizer's vocabulary has no {missing[0]!r}.")
    built.post_processor = processors.TemplateProcessing(
        single=f"{start} $A {end}",
        pair=f"{start} $A {end} $B:0 {end}:0",
        special_tokens=[(start, numbers[start]), (end, numbers[end])],
    )
    return built
