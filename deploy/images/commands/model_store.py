"""`seqway-model-store pull | push`: a model repository between a folder and an object store.

MODEL_STORE is the URL of the repository there, such as s3://bucket/models; credentials come from
the variables of the cloud's own tools.  Nothing is ever deleted in the store.

Triton may not start with a variant that is not whole.  So a variant's `config.pbtxt` is pushed
last, and one that has none in the store, since its push goes on or was killed, is not pulled.
"""

import argparse
import logging
import os
import sys
import time
from pathlib import Path
from typing import Any

import obstore
from obstore.exceptions import BaseError
from obstore.store import from_url

logger = logging.getLogger("seqway-model-store")

_POLL_SECONDS = 15.0
_PIECE = 8 * 2**20
_CONFIG = "config.pbtxt"
_LATE = {"plan.json": 1, _CONFIG: 2}


def main() -> int:
    """0 when all is copied, 1 when the store failed, 2 when a setting is missing."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(prog="seqway-model-store", description=__doc__)
    parser.add_argument("action", choices=["pull", "push"])
    parser.add_argument("--models", type=Path, required=True, help="the folder")
    given = parser.parse_args()
    url = os.environ.get("MODEL_STORE", "")
    try:
        if not url:
            raise ValueError("MODEL_STORE is not set: where are the models?")
        store = from_url(url)
    except (ValueError, BaseError) as error:
        logger.error("seqway-model-store: %s", error)
        return 2
    try:
        if given.action == "push":
            push(store, given.models)
        else:
            pull_whole(store, given.models)
    except (OSError, BaseError) as error:
        logger.error("seqway-model-store: the object store failed (%s)", error)
        return 1
    return 0


def pull_whole(store: Any, models: Path, poll: float = _POLL_SECONDS) -> None:
    """Pulls until there is a model."""
    while not pull(store, models):
        logger.info("waiting for models")
        time.sleep(poll)


def pull(store: Any, models: Path) -> int:
    """Copies what is new or changed of whole variants; tells how many objects these have."""
    every = [meta for page in obstore.list(store) for meta in page if "/" in meta["path"]]
    whole = {_variant(meta["path"]) for meta in every if meta["path"].endswith(f"/{_CONFIG}")}
    for name in sorted({_variant(meta["path"]) for meta in every} - whole):
        logger.warning("%s has no %s, so it was not pushed whole: left out", name, _CONFIG)
    pulled = [meta for meta in every if _variant(meta["path"]) in whole]
    # As it is pushed: a folder is a model to Triton, and without this file one that fails.
    for meta in sorted(pulled, key=lambda one: str(one["path"]).endswith(f"/{_CONFIG}")):
        path = models / meta["path"]
        if _differs(path, meta):
            logger.info("pulling %s", meta["path"])
            _download(store, meta, path)
    return len(pulled)


def _variant(key: str) -> str:
    return key.partition("/")[0]


def push(store: Any, models: Path) -> None:
    """Copies what is new or changed to the store.

    The manifests of plans come after the plans, and a variant's configuration after all else.
    """
    known = {meta["path"]: meta for page in obstore.list(store) for meta in page}
    files = [path for path in models.glob("*/**/*") if path.is_file()]
    for path in sorted(files, key=lambda one: (_LATE.get(one.name, 0), one)):
        key = path.relative_to(models).as_posix()
        if not any(part.startswith(".") for part in key.split("/")) and (
            key not in known or _differs(path, known[key])
        ):
            logger.info("pushing %s", key)
            obstore.put(store, key, path)


def _differs(path: Path, meta: Any) -> bool:
    """Whether the file is another than the object; a pulled file has the object's time."""
    try:
        stat = path.stat()
    except FileNotFoundError:
        return True
    return stat.st_size != meta["size"] or int(stat.st_mtime) != int(_time(meta))


def _download(store: Any, meta: Any, path: Path) -> None:
    """Writes beside the file and renames, so that nobody reads half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    with part.open("wb") as file:
        for piece in obstore.get(store, meta["path"]).stream(min_chunk_size=_PIECE):
            file.write(piece)
    os.utime(part, (_time(meta), _time(meta)))
    part.rename(path)


def _time(meta: Any) -> float:
    return float(meta["last_modified"].timestamp())


if __name__ == "__main__":
    sys.exit(main())
