"""Loads a Hugging Face checkpoint folder (or hub id) as our Transformer.

Families register here; nothing else in the engine knows their names.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from engine.model.config import ModelConfig
from engine.model.families import marian, pegasus
from engine.model.transformer import Transformer

T = TypeVar("T")

FAMILIES: dict[str, ModuleType] = {"marian": marian, "pegasus": pegasus}

_WANTED_FILES = ["*.json", "*.safetensors", "*.spm", "*.model"]


class CheckpointError(ValueError):
    """A checkpoint that can't be served; the message says why."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint on disk, loaded: the model in evaluation mode, in FP32.

    `max_target_tokens` counts what a generation may make, the end of sequence included.
    `suppressed_ids` are tokens that `generation_config.json` forbids.
    """

    folder: Path
    family: str
    model: Transformer
    sha256: str
    languages: tuple[str, str] | None
    max_source_tokens: int
    max_target_tokens: int
    suppressed_ids: tuple[int, ...]

    @property
    def config(self) -> ModelConfig:
        """The configuration of the model."""
        return self.model.config


def load_checkpoint(folder_or_id: str | Path) -> Checkpoint:
    """Loads a folder that `transformers` wrote, or downloads a hub id first.

    Raises:
        CheckpointError: it is missing, incomplete, of a family that is not supported, or holds
            values that are not finite.

    """
    folder = _locate(folder_or_id)
    hf = _read_json(folder / "config.json")
    name = hf.get("model_type", "unknown")
    if name not in FAMILIES:
        raise CheckpointError(
            f"{folder}: model_type {name!r} is not supported; these are: {', '.join(FAMILIES)}."
        )
    if not hf.get("tie_word_embeddings", True):
        raise CheckpointError(f"{folder}: untied output embeddings are not supported.")
    state, sha256 = _read_weights(folder)
    config = _checked(folder, lambda: FAMILIES[name].read_config(hf))
    weights = _checked(folder, lambda: FAMILIES[name].map_weights(state, config))
    _check_finite(folder, weights)
    model = Transformer(config)
    if "positions" in weights:
        model.positions = weights.pop("positions")
    _checked(folder, lambda: model.load_state_dict(weights))
    generation = _read_json(folder / "generation_config.json", default={})
    longest = generation.get("max_length") or hf.get("max_length") or config.max_positions
    banned = generation.get("bad_words_ids") or []
    return Checkpoint(
        folder=folder,
        family=name,
        model=model.eval(),
        sha256=sha256,
        languages=_languages(hf),
        max_source_tokens=config.max_positions,
        max_target_tokens=min(longest - 1, config.max_positions),
        suppressed_ids=tuple(ids[0] for ids in banned if len(ids) == 1),
    )


def _locate(folder_or_id: str | Path) -> Path:
    folder = Path(folder_or_id)
    if folder.is_dir():
        return folder
    try:
        return Path(snapshot_download(str(folder_or_id), allow_patterns=_WANTED_FILES))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise CheckpointError(
            f"{folder_or_id} is neither a folder nor a hub id that could be downloaded: {error}"
        ) from error


def _read_json(path: Path, default: dict[str, Any] | None = None) -> dict[str, Any]:
    if default is not None and not path.exists():
        return default
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} can't be read: {error}") from error
    assert isinstance(content, dict)
    return content


def _read_weights(folder: Path) -> tuple[dict[str, Tensor], str]:
    """All tensors of the folder's safetensors files, and the SHA-256 over the files."""
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise CheckpointError(
            f"{folder} has no .safetensors file. Pickled weights can run code when loaded: "
            "convert them with transformers' save_pretrained first."
        )
    state: dict[str, Tensor] = {}
    digest = hashlib.sha256()
    for file in files:
        try:
            state |= load_file(file)
        except (SafetensorError, OSError) as error:
            raise CheckpointError(f"{file} can't be read: {error}") from error
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return state, digest.hexdigest()


def _checked(folder: Path, load: Callable[[], T]) -> T:
    try:
        return load()
    except KeyError as error:
        raise CheckpointError(f"{folder} is incomplete: {error.args[0]!r} is missing.") from error
    except (ValueError, RuntimeError) as error:
        raise CheckpointError(f"{folder}: {error}") from error


def _check_finite(folder: Path, weights: dict[str, Tensor]) -> None:
    for name, tensor in weights.items():
        # Marian's bias may hold -inf for tokens that are never to be made.
        if name != "output_bias" and not torch.isfinite(tensor).all():
            raise CheckpointError(f"{folder}: {name} holds values that are not finite.")


def _languages(hf: dict[str, Any]) -> tuple[str, str] | None:
    source, target = hf.get("source_language"), hf.get("target_language")
    return (source, target) if source and target else None
