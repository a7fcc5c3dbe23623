"""The object store: whole objects, created once, listed in order."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, NotFoundError
from obstore.store import MemoryStore, from_url

from services.foundation.endings import ENDINGS
from services.jobs.errors import StoreUnavailableError

# obstore raises the one or the other, by store and call.
_MISSING = (FileNotFoundError, NotFoundError)


class Store:
    """Objects by key, over a local folder, S3, GCS or memory.

    Every method raises StoreUnavailableError when the store does not do what it was asked.
    """

    def __init__(self, backend: Any, folder: Path | None = None) -> None:
        """`folder` is where a local backend keeps the objects."""
        self._backend = backend
        self._folder = folder

    def create(self, key: str, data: bytes) -> bool:
        """Writes an object that is not there yet; False when there is one.  Atomic."""
        try:
            with _faults(key):
                obstore.put(self._backend, key, data, mode="create")
                if self._folder is not None:
                    _sync(self._folder, self._folder / key)
        except AlreadyExistsError:
            return False
        return True

    def replace(self, key: str, data: bytes) -> None:
        """Writes an object, in the place of one that is there.  Atomic."""
        with _faults(key):
            obstore.put(self._backend, key, data)
            if self._folder is not None:
                _sync(self._folder, self._folder / key)

    def get(self, key: str) -> bytes | None:
        """The object; None when there is none."""
        try:
            with _faults(key):
                return bytes(obstore.get(self._backend, key).bytes())
        except _MISSING:
            return None

    def head(self, key: str, length: int) -> bytes | None:
        """At most the first `length` bytes of the object; None when there is none."""
        try:
            with _faults(key):
                return bytes(obstore.get_range(self._backend, key, start=0, length=length))
        except _MISSING:
            return None

    def exists(self, key: str) -> bool:
        """Whether there is such an object."""
        try:
            with _faults(key):
                obstore.head(self._backend, key)
        except _MISSING:
            return False
        return True

    def keys(self, prefix: str, after: str | None = None) -> Iterator[str]:
        """The keys of the objects in the folder `prefix`, at any depth; in no certain order."""
        with _faults(prefix):
            for page in obstore.list(self._backend, prefix.rstrip("/"), offset=after):
                for each in page:
                    yield each["path"]

    def delete(self, *keys: str) -> None:
        """Removes objects, those that are not there as well."""
        with _faults(keys[0] if keys else ""):
            for key in keys:
                with suppress(*_MISSING):
                    obstore.delete(self._backend, key)

    def delete_folder(self, prefix: str) -> None:
        """Removes every object in a folder."""
        self.delete(*self.keys(prefix))

    @contextmanager
    def writer(self, key: str) -> Iterator[IO[bytes]]:
        """Writes a large object in parts, replacing what is there; it is seen when it is whole."""
        with _faults(key), obstore.open_writer(self._backend, key) as writer:
            yield writer  # type: ignore[misc]

    def now(self) -> float:
        """The time by the store's clock, in seconds since the epoch: when it took an object."""
        key = f"clock/{secrets.token_hex(8)}"
        with _faults(key):
            obstore.put(self._backend, key, b"")
            try:
                return obstore.head(self._backend, key)["last_modified"].timestamp()
            finally:
                obstore.delete(self._backend, key)


def _sync(root: Path, path: Path) -> None:
    """Has a new file and its names outlive a loss of power, which obstore leaves to chance."""
    for each in (path, *path.parents):
        with suppress(FileNotFoundError):  # somebody has deleted it already
            descriptor = os.open(each, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        if each == root:
            return


@contextmanager
def _faults(key: str) -> Iterator[None]:
    try:
        yield
    except (AlreadyExistsError, *_MISSING):
        raise
    except (BaseError, OSError) as error:
        raise _failure(key, error) from error
    except ENDINGS:
        raise
    except BaseException as error:
        if not _is_panic(error):
            raise
        raise _failure(key, error) from error


def _failure(key: str, error: BaseException) -> StoreUnavailableError:
    kind = type(error).__name__
    return StoreUnavailableError(
        f"the object store failed on {key.partition('/')[0]} ({kind})", retry_delay=5.0
    )


def _is_panic(error: BaseException) -> bool:
    """Whether the Rust of obstore gave up, as it does when descriptors run out.

    The class cannot be imported, and it is no Exception.
    """
    return type(error).__name__ == "PanicException"


def open_store(url: str) -> Store:
    """The store at `file:///folder`, `s3://bucket/prefix`, `gs://bucket/prefix` or `memory:`.

    Credentials, region and endpoint come from the variables of the cloud's own tools.  ValueError
    when the URL is none of these.
    """
    scheme = urlsplit(url).scheme
    if scheme == "memory":
        return Store(MemoryStore())
    if scheme == "file":
        folder = Path(unquote(urlsplit(url).path))
        return Store(from_url(url, mkdir=True, automatic_cleanup=True), folder)
    if scheme in ("s3", "gs"):
        return Store(from_url(url))
    raise ValueError(f"{url!r} is no file://, s3:// or gs:// URL")
