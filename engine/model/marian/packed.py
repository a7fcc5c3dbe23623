"""Files that gzip or Zstandard may have packed, as Mozilla's are."""

import gzip
import zlib
from pathlib import Path
from typing import IO

import zstandard

from engine.model.errors import CheckpointError, unreadable

SUFFIXES = ("", ".gz", ".zst")
"""What may stand behind the name of a file."""

_GZIP, _ZSTANDARD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


def plain_name(name: str) -> str:
    """The name without what says how the file is packed."""
    return name.removesuffix(".gz").removesuffix(".zst")


def read_bytes(path: Path, most: int) -> bytes:
    """What a file holds, unpacked.

    Raises:
        CheckpointError: it can't be read, is damaged, or holds more than `most` bytes.

    """
    try:
        with path.open("rb") as file, _unpacked(file) as content:
            read = content.read(most + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile, zstandard.ZstdError) as error:
        raise CheckpointError(f"{path} is cut off or damaged: {error}") from error
    except OSError as error:
        raise unreadable(path, error) from error
    if len(read) > most:
        raise CheckpointError(f"{path} holds more than {most >> 20:,} MiB, which nothing here has.")
    return read


def _unpacked(file: IO[bytes]) -> IO[bytes]:
    start = file.read(4)
    file.seek(0)
    if start.startswith(_GZIP):
        return gzip.open(file)  # type: ignore[return-value]
    if start == _ZSTANDARD:
        return zstandard.ZstdDecompressor().stream_reader(file)
    return file
