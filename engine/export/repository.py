"""Puts variants into a model repository: all of them, or none and the repository as it was."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path


class RepositoryError(RuntimeError):
    """The model repository can't take the variants; the message says why."""


class Staging:
    """A folder inside the repository, hidden from Triton, with a folder for each variant."""

    def __init__(self, repository: Path, folder: Path, *, overwrite: bool) -> None:
        self._repository = repository
        self._new = folder / "new"
        self._old = folder / "old"
        self._overwrite = overwrite

    def variant(self, name: str) -> Path:
        """A new folder for the files of one variant."""
        folder = self._new / name
        folder.mkdir(parents=True)
        return folder

    def commit(self) -> list[Path]:
        """Moves every variant to its place, instead of what stands there.

        Raises:
            RepositoryError: one can't be moved, or stands there by now and is not to be
                overwritten; those before it are moved back.

        """
        names = sorted(folder.name for folder in self._new.iterdir())
        with _locked(self._repository):
            if not self._overwrite:
                refuse_standing(self._repository, names)
            self._old.mkdir()
            try:
                for name in names:
                    if (self._repository / name).exists():
                        (self._repository / name).rename(self._old / name)
                    (self._new / name).rename(self._repository / name)
            except BaseException:  # a signal may come between two moves
                self._restore(names)
                raise
        return [self._repository / name for name in names]

    def _restore(self, names: Sequence[str]) -> None:
        """Undoes the moves that were made; which ones, the staging folder tells."""
        for name in names:
            if not (self._new / name).exists():
                (self._repository / name).rename(self._new / name)
            if (self._old / name).exists():
                (self._old / name).rename(self._repository / name)


@contextmanager
def staging(repository: Path, names: Sequence[str], *, overwrite: bool) -> Iterator[Staging]:
    """A staging folder for the variants `names`; what is not committed leaves no trace.

    Raises:
        RepositoryError: the repository can't be written, or has one of `names` and `overwrite` is
            not given.

    """
    if not overwrite:
        refuse_standing(repository, names)
    created: list[Path] = []
    folder: Path | None = None
    try:
        created = _missing_parents(repository)
        repository.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=".import.", dir=repository))
        yield Staging(repository, folder, overwrite=overwrite)
    except OSError as error:
        raise _failure(repository, error) from error
    finally:
        if folder:
            shutil.rmtree(folder, ignore_errors=True)
        for parent in created:
            with suppress(OSError):  # it is not empty, or was never made
                parent.rmdir()


def refuse_standing(repository: Path, names: Sequence[str]) -> None:
    """Refuses variants that are there already.

    Raises:
        RepositoryError: one is, or the repository can't be looked into.

    """
    for name in names:
        if stands(repository, name):
            raise RepositoryError(
                f"{repository / name} exists already: give --force to replace it."
            )


def stands(repository: Path, name: str) -> bool:
    """Whether the repository has the variant.

    Raises:
        RepositoryError: the repository can't be looked into.

    """
    try:
        return (repository / name).exists()
    except OSError as error:  # such as a path that is too long
        raise RepositoryError(f"{repository} can't be read: {error.strerror}.") from error


@contextmanager
def _locked(repository: Path) -> Iterator[None]:
    """Has the moves of two imports come one after the other."""
    handle = os.open(repository, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _missing_parents(folder: Path) -> list[Path]:
    """The folders that `mkdir` will make, the innermost first."""
    return [path for path in (folder, *folder.parents) if not path.exists()]


def _failure(repository: Path, error: OSError) -> RepositoryError:
    return RepositoryError(f"{repository} can't be written: {error.strerror or error}.")
