"""Puts variants into a model repository: all of them, or none and the repository as it was."""

import errno
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from engine.export.workplace import Move, Workplace, locked, open_workplace


class RepositoryError(RuntimeError):
    """The model repository can't take the variants; the message says why."""


class Staging:
    """A folder that Triton does not see, with a folder for each variant; see `workplace`.

    `scratch` is for what the variants are made from.
    """

    def __init__(self, repository: Path, place: Workplace, *, overwrite: bool) -> None:
        self._repository = repository
        self._place = place
        self._overwrite = overwrite
        self._new, self._old = place.folder / "new", place.folder / "old"
        self.scratch = place.folder / "scratch"
        for folder in (self._new, self._old, self.scratch):
            folder.mkdir()

    def variant(self, name: str) -> Path:
        """A new folder for the files of one variant."""
        folder = self._new / name
        folder.mkdir()
        return folder

    def commit(self) -> list[Path]:
        """Moves every variant to its place, instead of what stands there.

        Raises:
            RepositoryError: one can't be moved, or stands there by now and is not to be
                overwritten; those before it are moved back.

        """
        names = sorted(folder.name for folder in self._new.iterdir())
        waiting = {} if self._place.movable else self._copy_in(names)
        with locked(self._repository):
            if not self._overwrite:
                refuse_standing(self._repository, names)
            if self._place.movable:
                self._place.move(self._folders(names))
            else:
                self._place.move(self._files(waiting))
                self._remove_empty(names)
        return [self._repository / name for name in names]

    def _folders(self, names: Sequence[str]) -> list[Move]:
        """The moves of whole folders."""
        moves = []
        for name in names:
            if (self._repository / name).exists():
                moves.append((self._repository / name, self._old / name))
            moves.append((self._new / name, self._repository / name))
        return moves

    def _remove_empty(self, names: Sequence[str]) -> None:
        """Removes the folders of variants that nothing is in any more."""
        for name in names:
            for folder in sorted((self._repository / name).glob("**/"), reverse=True):
                with suppress(OSError):  # something is in it
                    folder.rmdir()

    def _copy_in(self, names: Sequence[str]) -> dict[Path, Path]:
        """Copies all files of variants into the repository; what has to be moved where."""
        waiting: dict[Path, Path] = {}
        for name in names:
            for file in sorted(self._new.glob(f"{name}/**/*")):
                if file.is_file():
                    hidden = Path(f"{self._place.hidden}.{len(waiting)}")
                    shutil.copyfile(file, hidden)
                    waiting[hidden] = self._repository / file.relative_to(self._new)
        return waiting

    def _files(self, waiting: Mapping[Path, Path]) -> list[Move]:
        """The moves of single files: those that stand are hidden, those that wait take places.

        A variant is not whole while they go on, some milliseconds.
        """
        variants = {
            self._repository / target.relative_to(self._repository).parts[0]
            for target in waiting.values()
        }
        standing = [file for one in sorted(variants) for file in one.glob("**/*") if file.is_file()]
        hidden = [
            (file, Path(f"{self._place.hidden}.old.{number}"))
            for number, file in enumerate(standing)
        ]
        return [*hidden, *waiting.items()]


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
    place: Workplace | None = None
    try:
        created = _missing_parents(repository)
        repository.mkdir(parents=True, exist_ok=True)
        place = open_workplace(repository)
        yield Staging(repository, place, overwrite=overwrite)
    except OSError as error:
        raise _failure(repository, error) from error
    finally:
        if place:
            place.close()
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


def _missing_parents(folder: Path) -> list[Path]:
    """The folders that `mkdir` will make, the innermost first."""
    return [path for path in (folder, *folder.parents) if not path.exists()]


def _failure(repository: Path, error: OSError) -> RepositoryError:
    full = error.errno == errno.ENOSPC
    advice = " An import needs room there, or in TMPDIR, for some times the weights." * full
    return RepositoryError(f"{repository} can't be written: {error.strerror or error}.{advice}")
