"""A checkpoint's tokenizer: loaded as `transformers` does, and written as the runtime reads it."""

import json
import sys
import warnings
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import AutoTokenizer
from transformers.models.auto.tokenization_auto import (
    TOKENIZER_MAPPING_NAMES,
    tokenizer_class_from_name,
)
from transformers.utils import sentencepiece_model_pb2_new

from engine.model.errors import CheckpointError, in_one_line

# The description of its files that sentencepiece 0.2.3 brings needs a newer protobuf than gRPC's
# packages allow. transformers has one of its own, but takes it only without sentencepiece.
sys.modules.setdefault("sentencepiece.sentencepiece_model_pb2", sentencepiece_model_pb2_new)

SENTENCE_PIECE_CLASSES = ("MarianTokenizer", "M2M100Tokenizer")
"""Those that `transformers` runs by SentencePiece itself; the runtime does, too."""

_OPTIONAL_FILES = ("tokenizer_file", "tokenizer_config_file", "target_vocab_file")


def load_tokenizer(folder: Path, vocab_size: int) -> Any:
    """The tokenizer of the checkpoint in `folder`, whose model has `vocab_size` token ids.

    Raises:
        CheckpointError: files are missing or damaged, it needs code of its own, or it makes ids
            that the model has no embedding for.

    """
    # Without its files transformers fails in strange ways, or makes up an empty vocabulary.
    if missing := _missing_file(folder, _stated_class(folder)):
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
    largest = max(tokenizer.get_vocab().values())
    if largest >= vocab_size:
        raise CheckpointError(
            f"{folder}: the tokenizer makes ids up to {largest}, and the model knows those below "
            f"{vocab_size} only."
        )
    return tokenizer


def save_tokenizer(tokenizer: Any, folder: Path) -> None:
    """Writes the files that the runtime reads, see `engine.runtime.vocabulary`.

    Raises:
        CheckpointError: the tokenizer is of a kind that the runtime has not, or lacks its special
            tokens.

    """
    name = type(tokenizer).__name__
    if name in SENTENCE_PIECE_CLASSES:
        tokenizer.save_vocabulary(str(folder))
    elif name == "EsmTokenizer":
        _protein_tokenizer(tokenizer).save(str(folder / "tokenizer.json"))
    elif tokenizer.is_fast:
        (folder / "tokenizer.json").write_text(tokenizer.backend_tokenizer.to_str(), "utf-8")
    else:
        raise CheckpointError(f"the tokenizer {name} is not supported.")


def _stated_class(folder: Path) -> Any:
    """The class that the checkpoint names for its tokenizer, or that its family has; or None."""
    family = _read(folder / "config.json").get("model_type", "")
    name = _read(folder / "tokenizer_config.json").get("tokenizer_class")
    name = name or TOKENIZER_MAPPING_NAMES.get(family)
    return tokenizer_class_from_name(name) if isinstance(name, str) else None


def _missing_file(folder: Path, tokenizer_class: Any) -> str:
    """The first file of the class that is not there; "" when it has all that it needs."""
    if tokenizer_class is None:
        return ""
    names: dict[str, str] = tokenizer_class.vocab_files_names
    takes_json = "tokenizer_file" in names
    if takes_json and (folder / "tokenizer.json").exists():
        return ""
    needed = [name for key, name in names.items() if key not in _OPTIONAL_FILES]
    missing = next((name for name in needed if not (folder / name).exists()), "")
    if not needed or (missing and takes_json):
        return " or ".join(filter(None, ("tokenizer.json", missing)))
    return missing


def _read(path: Path) -> dict[str, Any]:
    """A JSON object; an empty one where there is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


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


def stated_languages(folder: Path) -> tuple[str, str]:
    """`source_lang` and `target_lang` of `tokenizer_config.json` (Marian); "" where not given."""
    content = _read(folder / "tokenizer_config.json")
    return content.get("source_lang") or "", content.get("target_lang") or ""
