"""Puts variants into a model repository: all of them, or none and the repository as it was."""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path


class RepositoryError(RuntimeError):
    """The model repository can't take the variants; the message says why."""


class Staging:
    """A folder inside the repository, hidden from Triton, with a folder for each variant."""

    def __init__(self, repository: Path, folder: Path) -> None:
        self._repository = repository
        self._folder = folder
        self._new = folder / "new"
        self._old = folder / "old"

    def variant(self, name: str) -> Path:
        """A new folder for the files of one variant."""
        folder = self._new / name
        folder.mkdir(parents=True)
        return folder

    def commit(self) -> list[Path]:
        """Moves every variant to its place, instead of what stands there.

        Raises:
            RepositoryError: one can't be moved; those before it are moved back.

        """
        placed: list[Path] = []
        self._old.mkdir()
        try:
            for folder in sorted(self._new.iterdir()):
                target = self._repository / folder.name
                if target.exists():
                    target.rename(self._old / target.name)
                placed.append(target)
                folder.rename(target)
        except OSError as error:
            self._restore(placed)
            raise _failure(self._repository, error) from error
        return placed

    def _restore(self, placed: Sequence[Path]) -> None:
        for target in placed:
            if target.exists():
                target.rename(self._new / target.name)
            if (self._old / target.name).exists():
                (self._old / target.name).rename(target)


@contextmanager
def staging(repository: Path, names: Sequence[str], *, overwrite: bool) -> Iterator[Staging]:
    """A staging folder for the variants `names`; what is not committed leaves no trace.

    Raises:
        RepositoryError: the repository can't be written, or has one of `names` and `overwrite` is
            not given.

    """
    standing = [name for name in names if (repository / name).exists()]
    if standing and not overwrite:
        raise RepositoryError(
            f"{repository / standing[0]} exists already: give --force to replace it."
        )
    created = _missing_parents(repository)
    folder: Path | None = None
    try:
        try:
            repository.mkdir(parents=True, exist_ok=True)
            folder = Path(tempfile.mkdtemp(prefix=".import.", dir=repository))
        except OSError as error:
            raise _failure(repository, error) from error
        yield Staging(repository, folder)
    finally:
        if folder:
            shutil.rmtree(folder, ignore_errors=True)
        for parent in created:
            with suppress(OSError):  # it is not empty, or was never made
                parent.rmdir()


def _missing_parents(folder: Path) -> list[Path]:
    """The folders that `mkdir` will make, the innermost first."""
    return [path for path in (folder, *folder.parents) if not path.exists()]


def _failure(repository: Path, error: OSError) -> RepositoryError:
    return RepositoryError(f"{repository} can't be written: {error.strerror or error}.")
