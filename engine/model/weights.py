"""Reads the tensors of a checkpoint folder: safetensors, or pickles if allowed; in shards too."""

import hashlib
import json
import pickle
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors.torch import load_file
from torch import Tensor

from engine.model.errors import CheckpointError, unreadable
from engine.model.hub import pickles_refused

SAFETENSORS = "model.safetensors"
PICKLE = "pytorch_model.bin"


class Int8Scales(NamedTuple):
    """What the integers of a linear map stand for: those of its matrix, and those of its input."""

    weight: float
    input: float


def read_weights(folder: Path, allow_pickle: bool) -> tuple[dict[str, Tensor], str]:
    """All tensors by their names in the checkpoint, and the SHA-256 over the files.

    Tensors are mapped: what is looked at is read from the file then.

    Raises:
        CheckpointError: there are none, a shard is missing, a file can't be read or is damaged, or
            they are pickled and `allow_pickle` is not given.

    """
    files = weight_files(folder, SAFETENSORS)
    if not files:
        files = weight_files(folder, PICKLE)
        if files and not allow_pickle:
            raise CheckpointError(pickles_refused(folder))
    if not files:
        raise CheckpointError(f"{folder} has no weights: neither {SAFETENSORS} nor {PICKLE}.")
    digest = _sha256(files)
    state: dict[str, Tensor] = {}
    for file in files:
        state |= _load(file)
    return {_modern(name): tensor for name, tensor in state.items()}, digest


def weight_files(folder: Path, name: str) -> list[Path]:
    """The file `name` in `folder`, or the shards that its index lists; empty if neither is there.

    Raises:
        CheckpointError: the index can't be read, or a shard of it is missing.

    """
    index = folder / f"{name}.index.json"
    try:
        present = {path.name for path in folder.iterdir()}
        if name in present:
            return [folder / name]
        if index.name not in present:
            return []
        text = index.read_text(encoding="utf-8")
    except OSError as error:
        raise unreadable(Path(error.filename or index), error) from error
    try:
        shards = set(json.loads(text)["weight_map"].values())
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{index} is no index of shards: {error}") from error
    for shard in shards:
        if shard not in present:  # a path to another folder never is
            raise CheckpointError(f"{folder} is incomplete: the shard {shard} is missing.")
    return [folder / shard for shard in sorted(shards)]


def _load(file: Path) -> dict[str, Tensor]:
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        # Older ones are no archives: these can't be mapped.
        content = torch.load(
            file, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(file)
        )
    except pickle.UnpicklingError as error:  # whose message advises to run the file's code
        raise CheckpointError(
            f"{file} is damaged or holds more than tensors, which could run code: it is not loaded."
        ) from error
    # A damaged pickle fails in as many ways as there are instructions in it.
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(f"{file} is damaged or no file of weights: {reason}") from error
    entries = content.items() if isinstance(content, dict) else ()
    if not entries or not all(isinstance(n, str) and isinstance(t, Tensor) for n, t in entries):
        raise CheckpointError(f"{file} holds no state dict: names with tensors were expected.")
    return dict(content)


def _modern(name: str) -> str:
    """TensorFlow's names of a norm's parameters, which old checkpoints have."""
    for old, new in ((".gamma", ".weight"), (".beta", ".bias")):
        if name.endswith(f"LayerNorm{old}"):
            return name.removesuffix(old) + new
    return name


def _sha256(files: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        try:
            with file.open("rb") as stream:
                while block := stream.read(1 << 20):
                    digest.update(block)
        except OSError as error:
            raise unreadable(file, error) from error
    return digest.hexdigest()
