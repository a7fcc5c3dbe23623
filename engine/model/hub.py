"""Finds a checkpoint: a folder, or a hub id of which only the files that are needed are fetched."""

from contextlib import suppress
from fnmatch import fnmatch
from pathlib import Path

from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import (
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
)

from engine.model.card import CARD_FILE
from engine.model.errors import CheckpointError, unreadable

SAFETENSORS = ("model.safetensors", "model-*.safetensors", "model.safetensors.index.json")
PICKLES = ("pytorch_model.bin", "pytorch_model-*.bin", "pytorch_model.bin.index.json")

_CONFIGURATION = ("config.json", "generation_config.json", CARD_FILE)
_TOKENIZER = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "target_vocab.json",
    "vocab.txt",
    "merges.txt",
    "*.model",
    "*.spm",
)


def locate(folder_or_id: str | Path, revision: str | None, allow_pickle: bool) -> Path:
    """The checkpoint's folder; a hub id is downloaded first, or taken from the local cache.

    The hub's token is taken from the environment, as `huggingface_hub` does.

    Raises:
        CheckpointError: it is neither a folder nor a hub id that could be had, can't be read, or
            has pickled weights only and `allow_pickle` is not given.

    """
    folder = Path(folder_or_id)
    with suppress(OSError):  # of a name that is too long
        if folder.is_dir():
            require_readable(folder)
            return folder
        if folder.exists():
            raise CheckpointError(f"{folder} is a file: give the checkpoint's folder, or a hub id.")
    try:
        return _download(str(folder_or_id), revision, allow_pickle)
    except CheckpointError:
        raise
    # The hub's library lets errors of whatever HTTP library it uses through.
    except Exception as error:
        raise CheckpointError(
            f"{folder_or_id} is neither a folder nor a hub id that could be downloaded: "
            f"{_first_line(error)}"
        ) from error


def require_readable(folder: Path) -> None:
    """Refuses a folder with a configuration or a tokenizer's file that can't be read.

    Libraries would call it missing, or damaged.

    Raises:
        CheckpointError: there is one, or the folder itself can't be read.

    """
    path = folder
    try:
        for path in sorted(folder.iterdir()):
            if any(fnmatch(path.name, pattern) for pattern in (*_CONFIGURATION, *_TOKENIZER)):
                path.open("rb").close()
    except OSError as error:
        raise unreadable(path, error) from error


def _download(repo_id: str, revision: str | None, allow_pickle: bool) -> Path:
    try:
        names = HfApi().list_repo_files(repo_id, revision=revision)
    except (HfHubHTTPError, HFValidationError):
        raise
    except Exception as error:
        return _cached(repo_id, revision, error)
    wanted = (*_CONFIGURATION, *_TOKENIZER, *_weights(repo_id, names, allow_pickle))
    return Path(snapshot_download(repo_id, revision=revision, allow_patterns=list(wanted)))


def _cached(repo_id: str, revision: str | None, reason: Exception) -> Path:
    """What was downloaded before, when the hub can't be reached."""
    try:
        return Path(snapshot_download(repo_id, revision=revision, local_files_only=True))
    except LocalEntryNotFoundError:
        raise CheckpointError(
            f"{repo_id} is no folder, is not in the local cache, and the hub can't be reached: "
            f"{_first_line(reason)}"
        ) from reason


def _weights(repo_id: str, names: list[str], allow_pickle: bool) -> tuple[str, ...]:
    """The patterns of one format only: many repositories hold the same weights in several."""
    if _any(names, SAFETENSORS):
        return SAFETENSORS
    if _any(names, PICKLES) and not allow_pickle:
        raise CheckpointError(pickles_refused(repo_id))
    return PICKLES


def _any(names: list[str], patterns: tuple[str, ...]) -> bool:
    return any(fnmatch(name, pattern) for name in names for pattern in patterns)


def pickles_refused(where: object) -> str:
    """Why pickled weights are not loaded."""
    return (
        f"{where} has no .safetensors file, only pickled weights, which can run code when they are "
        "loaded: give --allow-pickle if you trust their author, or convert them to safetensors."
    )


def _first_line(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
