"""A folder of Marian's, in the layout of Mozilla, Bergamot or translateLocally.

It holds a model, one SentencePiece vocabulary or one for each side, and a configuration for the
decoder that names them, or files that have the usual names. Each may be packed.
"""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import sentencepiece
import yaml
from safetensors.numpy import save_file

from engine.model.errors import CheckpointError, library_errors, unreadable
from engine.model.families.languages import language_name, language_tag
from engine.model.families.marian_nmt import (
    INPUT_MULTIPLIER,
    MULTIPLIERS,
    WEIGHT_MULTIPLIER,
    embedding_names,
)
from engine.model.marian.model_file import MarianModel, read_model
from engine.model.marian.packed import SUFFIXES, plain_name, read_bytes
from engine.model.marian.shortlist_file import read_shortlist

_PAD = "<pad>"
_TOKENIZER = "MarianTokenizer"
_PAIR_IN_NAME = re.compile(r"(?:^|[._-])([a-z]{2})(-?)([a-z]{2})(?=[._-]|$)")
_MOST_VOCABULARY = 64 << 20


@dataclass(frozen=True)
class MarianFolder:
    """The files of a model; `vocabularies` are of the source and of the target."""

    folder: Path
    model: Path
    vocabularies: tuple[Path, Path]
    shortlist: Path | None = None

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
    found = _configured(folder, names)
    models = [one.model.name for one in found] or [name for name in names if _is_model(name)]
    if not models:
        return None
    if len(models) > 1:
        raise CheckpointError(f"{folder} holds several models: {', '.join(models)}: leave one.")
    if found:
        return found[0]
    lists = [folder / name for name in names if _is_shortlist(name)]
    vocabularies = _vocabularies(folder, names)
    return MarianFolder(folder, folder / models[0], vocabularies, lists[0] if lists else None)


@contextmanager
def as_checkpoint(folder: Path, *, shortlist: bool = False) -> Iterator[Path]:
    """A checkpoint's folder; in place of one of Marian's, what `write_checkpoint` makes of it.

    That lasts as long as the block. With `shortlist` it has one.

    Raises:
        CheckpointError: see `find` and `write_checkpoint`; errors of the block name `folder`. Or
            there is no shortlist.

    """
    found = find(folder)
    if shortlist and (found is None or found.shortlist is None):
        raise CheckpointError(f"{folder} has no shortlist (lex.*.bin): leave --shortlist out.")
    if found is None:
        yield folder
        return
    with TemporaryDirectory(prefix="seqway-marian.") as place:
        target = Path(place) / folder.resolve().name
        target.mkdir()
        write_checkpoint(found, target, shortlist=shortlist)
        try:
            yield target
        except CheckpointError as error:
            raise CheckpointError(str(error).replace(str(target), str(folder))) from error


def write_checkpoint(found: MarianFolder, target: Path, *, shortlist: bool = False) -> None:
    """Writes into the folder `target` what `load_checkpoint` reads, see `families.marian_nmt`.

    With `shortlist` the folder's own is there, too.

    Raises:
        CheckpointError: a file can't be read or is damaged, or the vocabularies do not fit.

    """
    model = read_model(found.model)
    read = {path: read_bytes(path, _MOST_VOCABULARY) for path in set(found.vocabularies)}
    contents = [read[path] for path in found.vocabularies]
    sizes = [len(table) for table in _tables(found, model)]
    source, answers = (
        _numbers(found, path, content, size)
        for path, content, size in zip(found.vocabularies, contents, sizes, strict=True)
    )
    separate = contents[0] != contents[1]
    languages = found.languages
    config = _plain(model.config) | {
        "model_type": "marian_nmt",
        "architectures": ["MarianMTModel"],
        "vocab_size": source[_PAD] + 1,
        "decoder_vocab_size": answers[_PAD] + 1,
        "pad_token_id": answers[_PAD],
        "decoder_start_token_id": answers[_PAD],
        "eos_token_id": answers["</s>"],
        "source_language": languages[0],
        "target_language": languages[1],
    }
    _write(target / "config.json", config)
    _write(target / "generation_config.json", {})
    tokenizer = {"tokenizer_class": _TOKENIZER, "separate_vocabs": separate}
    _write(target / "tokenizer_config.json", tokenizer)
    _write(target / "vocab.json", source)
    if separate:
        _write(target / "target_vocab.json", answers)
    for name, content in zip(("source.spm", "target.spm"), contents, strict=True):
        (target / name).write_bytes(content)
    save_file(_tensors(model), target / "model.safetensors")
    if shortlist and found.shortlist:
        end, shared = answers["</s>"], not separate
        lists = read_shortlist(found.shortlist, sizes[0], sizes[1], end, shared=shared)
        lists.save(target)


def _tensors(model: MarianModel) -> dict[str, np.ndarray[Any, Any]]:
    """Those of the model, with their multipliers beside them."""
    tensors = {
        name: np.ascontiguousarray(array)
        for name, array in model.tensors.items()
        if not name.endswith(MULTIPLIERS)
    }
    for end, multipliers in (
        (WEIGHT_MULTIPLIER, model.weight_multipliers),
        (INPUT_MULTIPLIER, model.input_multipliers),
    ):
        # Some are noted a second time, under the name of no tensor.
        for name in multipliers.keys() & model.tensors.keys():
            tensors[name + end] = np.array([multipliers[name]], np.float32)
    return tensors


def _plain(config: Mapping[str, Any]) -> dict[str, Any]:
    """What a configuration says in words and numbers, and lists of them; the rest is not for us."""
    kinds = (str, bool, int, float)

    def is_plain(value: object) -> bool:
        if isinstance(value, list):
            return all(isinstance(one, kinds) for one in value)
        return isinstance(value, kinds)

    return {
        name: value for name, value in config.items() if isinstance(name, str) and is_plain(value)
    }


def _tables(found: MarianFolder, model: MarianModel) -> list[np.ndarray[Any, Any]]:
    """The embeddings of sources and of answers, `[rows, width]`."""
    with library_errors(str(found.model)):
        names = embedding_names(model.config)
    missing = [name for name in names if name not in model.tensors]
    if not missing:
        return [model.tensors[name] for name in names]
    others = [name for name in model.tensors if name.endswith("Wemb")]
    tied = f"tied-embeddings-all is {names[0] == names[1]} in its configuration"
    raise CheckpointError(
        f"{found.model}: {missing[0]!r} is missing: {tied}, and it has "
        f"{' and '.join(map(repr, others)) or 'no embeddings'}."
    )


def _numbers(found: MarianFolder, path: Path, content: bytes, size: int) -> dict[str, int]:
    """The ids of a vocabulary's pieces, and of padding behind them; the model has `size` rows."""
    with library_errors(f"{path} is no SentencePiece model"):
        model = sentencepiece.SentencePieceProcessor(model_proto=content)
        pieces = [model.id_to_piece(index) for index in range(model.get_piece_size())]
    if len(pieces) != size:
        raise CheckpointError(
            f"{found.folder}: the model knows {size:,} tokens and {path.name} has "
            f"{len(pieces):,}: they are not of one model."
        )
    for piece in ("</s>", "<unk>"):
        if piece not in pieces:
            raise CheckpointError(f"{path} has no {piece!r}.")
    return {piece: index for index, piece in enumerate(pieces)} | {_PAD: size}


def _configured(folder: Path, names: list[str]) -> list[MarianFolder]:
    """The models that configurations name, each once, as far as their files are there.

    Raises:
        CheckpointError: there are configurations, and none whose files are all there.

    """
    found: dict[Path, MarianFolder] = {}
    complaints: list[CheckpointError] = []
    for name in names:
        if not name.endswith((".yml", ".yaml")):
            continue
        try:
            with library_errors(f"{folder / name} can't be read"):
                content = yaml.safe_load((folder / name).read_text(encoding="utf-8"))
            if isinstance(content, dict) and {"models", "vocabs"} <= content.keys():
                one = _of_configuration(folder, names, name, content)
                found.setdefault(one.model, one)
        except CheckpointError as error:
            complaints.append(error)
    if complaints and not found and sum(map(_is_model, names)) != 1:
        raise complaints[0]
    return list(found.values())


def _of_configuration(
    folder: Path, names: list[str], configuration: str, content: Mapping[str, Any]
) -> MarianFolder:
    models, vocabularies = content["models"], content["vocabs"]
    named: list[Any] = []
    if isinstance(models, list) and isinstance(vocabularies, list) and len(models) == 1:
        named = [*models, *vocabularies]
    if len(named) != 3 or not all(isinstance(one, str) for one in named):
        raise CheckpointError(
            f"{folder / configuration} has to name one model and two vocabularies."
        )
    model, source, target = (_file(folder, names, one) for one in named)
    lists = content.get("shortlist")
    stated = lists[0] if isinstance(lists, list) and lists else None
    # A model can do without, so that it need not be there.
    shortlist = _found(folder, names, stated) if isinstance(stated, str) else None
    return MarianFolder(folder, model, (source, target), shortlist)


def _file(folder: Path, names: list[str], stated: str) -> Path:
    """A file that a configuration names."""
    found = _found(folder, names, stated)
    if found is None:
        raise CheckpointError(f"{folder} is incomplete: {_plain_of(stated)[:100]} is missing.")
    return found


def _found(folder: Path, names: list[str], stated: str) -> Path | None:
    """Likewise, packed or not; None where it is not there."""
    plain = _plain_of(stated)
    packed = next((plain + end for end in SUFFIXES if plain + end in names), None)
    return None if packed is None else folder / packed


def _plain_of(stated: str) -> str:
    # A name that leads out of the folder is none of its files.
    return stated.replace("\\", "/").rpartition("/")[2]


def _is_shortlist(name: str) -> bool:
    plain = plain_name(name)
    return plain.startswith("lex.") and plain.endswith(".bin")


def _is_model(name: str) -> bool:
    plain = plain_name(name)
    return plain.startswith("model") and plain.endswith((".bin", ".npz"))


def _vocabularies(folder: Path, names: list[str]) -> tuple[Path, Path]:
    found = [name for name in names if plain_name(name).endswith(".spm")]
    both = [name for name in found if name.startswith("vocab")]
    sides = [[name for name in found if name.startswith(side)] for side in ("srcvocab", "trgvocab")]
    if len(both) == 1 and not any(sides):
        return folder / both[0], folder / both[0]
    if not both and all(len(side) == 1 for side in sides):
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
        except (OSError, ValueError, RecursionError):
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
        codes = match[1], match[3]
        # Many words of four letters, such as "data" and "task", are two codes.
        if match[2] or "en" in codes:
            source, target = map(language_tag, codes)
            if source and target and language_name(source) and language_name(target):
                return source, target
    return None


def _write(path: Path, content: Mapping[str, Any]) -> None:
    # ASCII: a configuration may hold halves of characters.
    path.write_text(json.dumps(content, indent=1), encoding="utf-8")
