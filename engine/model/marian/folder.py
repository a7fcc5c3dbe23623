"""A folder of Marian's, in the layout of Mozilla, Bergamot or translateLocally.

It holds a model, one SentencePiece vocabulary or one for each side, and a configuration for the
decoder that names them, or files that have the usual names. Each may be packed by gzip.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import sentencepiece
import yaml
from safetensors.numpy import save_file

from engine.model.errors import CheckpointError, in_one_line, library_errors, unreadable
from engine.model.families.languages import language_name, language_tag
from engine.model.marian.model_file import MarianModel, read_bytes, read_model

_PACKED = ".gz"
_PAD = "<pad>"
_TOKENIZER = "MarianTokenizer"
_PAIR_IN_NAME = re.compile(r"(?:^|[._-])([a-z]{2})-?([a-z]{2})(?=[._-]|$)")


@dataclass(frozen=True)
class MarianFolder:
    """The files of a model; `vocabularies` are of the source and of the target."""

    folder: Path
    model: Path
    vocabularies: tuple[Path, Path]

    @property
    def languages(self) -> tuple[str, str]:
        """The pair that metadata or names tell, as BCP-47; "" where they do not."""
        return _stated_pair(self.folder) or _named_pair(self) or ("", "")


def find(folder: Path) -> MarianFolder | None:
    """The files of a model of Marian's; None where the folder is none of one.

    Raises:
        CheckpointError: a file that its configuration names is not there, or more than one fits.

    """
    if (folder / "config.json").exists():
        return None
    try:
        names = sorted(path.name for path in folder.iterdir())
    except OSError as error:
        raise unreadable(folder, error) from error
    if (configured := _configured(folder, names)) is not None:
        return configured
    models = [name for name in names if _is_model(name)]
    if not models:
        return None
    if len(models) > 1:
        raise CheckpointError(f"{folder} holds several models: {', '.join(models)}: leave one.")
    return MarianFolder(folder, folder / models[0], _vocabularies(folder, names))


def write_checkpoint(found: MarianFolder, target: Path) -> None:
    """Writes into the folder `target` what `load_checkpoint` reads, see `families.marian_nmt`.

    Raises:
        CheckpointError: a file can't be read or is damaged, or the vocabularies do not fit.

    """
    model = read_model(found.model)
    pieces = _pieces(found)
    size = _table(found, model).shape[0]
    if len(pieces) != size:
        raise CheckpointError(
            f"{found.folder}: the model knows {size:,} tokens and "
            f"{found.vocabularies[0].name} has {len(pieces):,}: they are not of one model."
        )
    for piece in ("</s>", "<unk>"):
        if piece not in pieces:
            raise CheckpointError(f"{found.vocabularies[0]} has no {piece!r}.")
    numbers = {piece: index for index, piece in enumerate(pieces)} | {_PAD: size}
    source, goal = found.languages
    config = _plain(model.config) | {
        "model_type": "marian_nmt",
        "architectures": ["MarianMTModel"],
        "vocab_size": size + 1,
        "pad_token_id": size,
        "decoder_start_token_id": size,
        "eos_token_id": numbers["</s>"],
        "source_language": source,
        "target_language": goal,
    }
    _write(target / "config.json", config)
    _write(target / "generation_config.json", {})
    _write(target / "tokenizer_config.json", {"tokenizer_class": _TOKENIZER})
    _write(target / "vocab.json", numbers)
    for name, path in zip(("source.spm", "target.spm"), found.vocabularies, strict=True):
        (target / name).write_bytes(read_bytes(path))
    tensors = {name: np.ascontiguousarray(array) for name, array in model.tensors.items()}
    for kind, multipliers in _multipliers(model).items():
        for name, one in multipliers.items():
            tensors[f"{name}.{kind}"] = np.array([one], np.float32)
    save_file(tensors, target / "model.safetensors")


def _plain(config: Mapping[str, Any]) -> dict[str, Any]:
    """What a configuration says in words and numbers, and lists of them; the rest is not for us."""
    kinds = (str, bool, int, float)

    def is_plain(value: object) -> bool:
        if isinstance(value, list):
            return all(isinstance(one, kinds) for one in value)
        return isinstance(value, kinds)

    return {str(name): value for name, value in config.items() if is_plain(value)}


def _multipliers(model: MarianModel) -> dict[str, Mapping[str, float]]:
    return {
        "weight_multiplier": model.weight_multipliers,
        "input_multiplier": model.input_multipliers,
    }


def _table(found: MarianFolder, model: MarianModel) -> np.ndarray[Any, Any]:
    if "Wemb" in model.tensors:
        return model.tensors["Wemb"]
    if "encoder_Wemb" in model.tensors:
        raise CheckpointError(
            f"{found.folder}: source and target have embeddings of their own, which is not "
            "supported: one vocabulary has to serve both."
        )
    raise CheckpointError(f"{found.model} has no embeddings: 'Wemb' is missing.")


def _pieces(found: MarianFolder) -> list[str]:
    """The pieces of the vocabulary, in the order of their ids."""
    contents = [read_bytes(path) for path in dict.fromkeys(found.vocabularies)]
    if any(content != contents[0] for content in contents):
        raise CheckpointError(
            f"{found.folder}: source and target have different vocabularies, which is not "
            "supported: one has to serve both."
        )
    with library_errors(f"{found.vocabularies[0]} is no SentencePiece model"):
        processor = sentencepiece.SentencePieceProcessor(model_proto=contents[0])
        return [processor.id_to_piece(index) for index in range(processor.get_piece_size())]


def _configured(folder: Path, names: list[str]) -> MarianFolder | None:
    for name in names:
        if not name.endswith((".yml", ".yaml")):
            continue
        try:
            content = yaml.safe_load((folder / name).read_text(encoding="utf-8"))
        except OSError as error:
            raise unreadable(folder / name, error) from error
        except (ValueError, yaml.YAMLError) as error:
            raise CheckpointError(f"{folder / name} can't be read: {in_one_line(error)}") from error
        if isinstance(content, dict) and {"models", "vocabs"} <= content.keys():
            return _of_configuration(folder, name, content)
    return None


def _of_configuration(folder: Path, name: str, content: Mapping[str, Any]) -> MarianFolder:
    models, vocabularies = content["models"], content["vocabs"]
    named: list[Any] = []
    if isinstance(models, list) and isinstance(vocabularies, list) and len(models) == 1:
        named = [*models, *vocabularies]
    if len(named) != 3 or not all(isinstance(one, str) for one in named):
        raise CheckpointError(f"{folder / name} has to name one model and two vocabularies.")
    files = []
    for one in named:
        # A name that leads out of the folder is none of its files.
        plain = folder / Path(one).name
        found = next((path for path in (plain, _packed(plain)) if path.exists()), None)
        if found is None:
            raise CheckpointError(f"{folder} is incomplete: {plain.name} is missing.")
        files.append(found)
    return MarianFolder(folder, files[0], (files[1], files[2]))


def _packed(path: Path) -> Path:
    return path.with_name(path.name + _PACKED)


def _is_model(name: str) -> bool:
    plain = name.removesuffix(_PACKED)
    return plain.startswith("model") and plain.endswith((".bin", ".npz"))


def _vocabularies(folder: Path, names: list[str]) -> tuple[Path, Path]:
    found = [name for name in names if name.removesuffix(_PACKED).endswith(".spm")]
    both = [name for name in found if name.startswith("vocab")]
    sides = [[name for name in found if name.startswith(side)] for side in ("srcvocab", "trgvocab")]
    if len(both) == 1:
        return folder / both[0], folder / both[0]
    if all(len(side) == 1 for side in sides):
        return folder / sides[0][0], folder / sides[1][0]
    if not found:
        raise CheckpointError(f"{folder} is incomplete: it has no vocabulary (vocab.*.spm).")
    raise CheckpointError(
        f"{folder} has to hold vocab.*.spm, or srcvocab.*.spm and trgvocab.*.spm, and holds "
        f"{', '.join(found)}."
    )


def _stated_pair(folder: Path) -> tuple[str, str] | None:
    """What Mozilla's `metadata.json` and translateLocally's `model_info.json` say."""
    for name, keys in _METADATA.items():
        try:
            content = json.loads((folder / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        stated = [content.get(key) for key in keys] if isinstance(content, dict) else []
        tags = [language_tag(code) if isinstance(code, str) else None for code in stated]
        if len(tags) == 2 and tags[0] and tags[1]:
            return tags[0], tags[1]
        short = content.get("shortName") if isinstance(content, dict) else None
        if isinstance(short, str) and (pair := _pair_of(short)):
            return pair
    return None


_METADATA = {
    "metadata.json": ("sourceLanguage", "targetLanguage"),
    "model_info.json": ("src", "trg"),
}


def _named_pair(found: MarianFolder) -> tuple[str, str] | None:
    names = (found.model.name, found.vocabularies[0].name, found.folder.resolve().name)
    return next((pair for name in names if (pair := _pair_of(name))), None)


def _pair_of(name: str) -> tuple[str, str] | None:
    for match in _PAIR_IN_NAME.finditer(name):
        source, target = language_tag(match[1]), language_tag(match[2])
        # Many words of four letters, such as "base" and "tiny", are two codes.
        if source and target and language_name(source) and language_name(target):
            return source, target
    return None


def _write(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")
