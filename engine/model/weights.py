"""Reads the tensors of a checkpoint folder: safetensors, or pickles if allowed; in shards too."""

import hashlib
import json
import pickle
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from engine.model.errors import CheckpointError
from engine.model.hub import pickles_refused

SAFETENSORS = "model.safetensors"
PICKLE = "pytorch_model.bin"


def read_weights(folder: Path, allow_pickle: bool) -> tuple[dict[str, Tensor], str]:
    """All tensors by their names in the checkpoint, and the SHA-256 over the files.

    Raises:
        CheckpointError: there are none, a shard is missing, a file is damaged, or they are pickled
            and `allow_pickle` is not given.

    """
    files = weight_files(folder, SAFETENSORS)
    if not files:
        files = weight_files(folder, PICKLE)
        if files and not allow_pickle:
            raise CheckpointError(pickles_refused(folder))
    if not files:
        raise CheckpointError(f"{folder} has no weights: neither {SAFETENSORS} nor {PICKLE}.")
    state: dict[str, Tensor] = {}
    for file in files:
        state |= _load(file)
    return {_modern(name): tensor for name, tensor in state.items()}, _sha256(files)


def weight_files(folder: Path, name: str) -> list[Path]:
    """The file `name` in `folder`, or the shards that its index lists; empty if neither is there.

    Raises:
        CheckpointError: the index can't be read, or a shard of it is missing.

    """
    index = folder / f"{name}.index.json"
    if (folder / name).exists():
        return [folder / name]
    if not index.exists():
        return []
    try:
        shards = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{index} is no index of shards: {error}") from error
    for shard in shards:
        if not (folder / shard).exists():
            raise CheckpointError(f"{folder} is incomplete: the shard {shard} is missing.")
    return [folder / shard for shard in shards]


def _load(file: Path) -> dict[str, Tensor]:
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        content = torch.load(file, map_location="cpu", weights_only=True)
    except (SafetensorError, OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(f"{file} is damaged or no file of weights: {reason}") from error
    tensors = content.values() if isinstance(content, dict) else ()
    if not tensors or not all(isinstance(tensor, Tensor) for tensor in tensors):
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
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
