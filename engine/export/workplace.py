"""Where the variants of an import are made before they are moved into the model repository.

Triton takes every folder of a repository for a model, hidden and empty ones too, and does not start
when one can't be loaded; files that stand among them it passes over.  So variants are made in
`.NAME.imports` beside the repository, from where a rename brings them in.  Where nothing can be
written beside it, or it is a file system of its own (a mounted volume), they are made in the
temporary folder, and copied into the repository as hidden files before they are moved.

A process holds the lock of its ledger as long as it lives.  What a killed one has left is known by
a ledger that nobody holds: moves that were begun are undone, and its files removed.
"""

import fcntl
import json
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

Move = tuple[Path, Path]

PREFIX = ".import."
"""How the names begin of what an import has for a moment in a repository: files, no folders."""

_LEDGER = ".ledger"


_TEMPORARY = "seqway-import."

_FORMER_SECONDS = 3600.0
"""Such a folder that nothing has changed in for so long belongs to no import that runs."""


class Workplace:
    """The `folder` of one import; `movable` tells whether a rename leads from it to the repository.

    `hidden` begins the paths of files that wait in the repository where it does not.
    """

    def __init__(self, folder: Path, ledger: Path, *, movable: bool) -> None:
        self.folder, self.movable = folder, movable
        self.hidden = str(ledger).removesuffix(_LEDGER)
        self._ledger = ledger
        self._handle = os.open(ledger, os.O_RDWR | os.O_CREAT, 0o644)
        fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._note([])

    def move(self, moves: Sequence[Move]) -> None:
        """Makes all moves or none; if this process is killed, the next import undoes them."""
        self._note(moves)
        try:
            for source, target in moves:
                target.parent.mkdir(parents=True, exist_ok=True)
                source.rename(target)
        except BaseException:  # a signal may come between two moves
            undo(moves)
            raise
        finally:
            self._note([])

    def _note(self, moves: Sequence[Move]) -> None:
        pairs = [[str(source), str(target)] for source, target in moves]
        content = json.dumps({"folder": str(self.folder), "moves": pairs}).encode()
        os.ftruncate(self._handle, 0)
        os.pwrite(self._handle, content, 0)

    def close(self) -> None:
        """Removes what is left of the import."""
        _remove(self._ledger, self.folder)
        os.close(self._handle)
        if self.movable:
            with suppress(OSError), locked(self.folder.parent):
                self.folder.parent.rmdir()  # if no other import works there


def open_workplace(repository: Path) -> Workplace:
    """A place to work for an import into `repository`, which exists; sweeps what others left.

    Raises:
        OSError: there is none.

    """
    sweep(repository)
    _sweep_former(repository)
    beside = _beside(repository.resolve())
    if beside is not None:
        return beside
    folder = Path(tempfile.mkdtemp(prefix=_TEMPORARY))
    ledger = repository.resolve() / f"{PREFIX}{uuid.uuid4().hex}{_LEDGER}"
    try:
        return Workplace(folder, ledger, movable=False)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _beside(repository: Path) -> Workplace | None:
    """A place beside the repository; None where there can be none."""
    root = repository.parent / f".{repository.name}.imports"
    while True:
        try:
            root.mkdir(exist_ok=True)
            if mount_of(root) != mount_of(repository):
                root.rmdir()
                return None
            with locked(root):
                sweep(root)
                folder = root / uuid.uuid4().hex
                made = Workplace(folder, folder.with_suffix(_LEDGER), movable=True)
                folder.mkdir()
                return made
        except FileNotFoundError:  # another import has just removed it
            continue
        except OSError:
            return None


def mount_of(folder: Path) -> tuple[int, str]:
    """What two folders share if a rename leads from one to the other."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        told = Path(f"/proc/self/fdinfo/{handle}").read_text(encoding="ascii")
        return os.fstat(handle).st_dev, told.partition("mnt_id:")[2].split("\n")[0].strip()
    finally:
        os.close(handle)


def sweep(folder: Path) -> None:
    """Undoes and removes what imports have left in `folder` whose process is gone."""
    for ledger in folder.glob(f"*{_LEDGER}"):
        with suppress(OSError):  # it is at work, or another user's, or gone by now
            handle = os.open(ledger, os.O_RDWR)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                left = _read(ledger)
                undo([(Path(source), Path(target)) for source, target in left["moves"]])
                place = Path(left["folder"])
                ours = ledger.with_suffix("") if place.parent == folder else None
                if place.name.startswith(_TEMPORARY):
                    ours = Path(tempfile.gettempdir()) / place.name
                _remove(ledger, ours)
            finally:
                os.close(handle)


def _sweep_former(repository: Path) -> None:
    """Removes the folders that killed imports of former versions left among the models.

    These hold no lock: one is left alone while anything in it is new.
    """
    latest = time.time() - _FORMER_SECONDS
    for folder in repository.glob(f"{PREFIX}????????"):
        with suppress(OSError):  # something in it has just changed
            times = [path.lstat().st_mtime for path in (folder, *folder.rglob("*"))]
            if folder.is_dir() and max(times) < latest:
                shutil.rmtree(folder)


def _read(ledger: Path) -> dict[str, Any]:
    """What a ledger holds; a process may have been killed while it wrote it."""
    empty = {"folder": str(ledger.with_suffix("")), "moves": []}
    try:
        return empty | dict(json.loads(ledger.read_text(encoding="utf-8")))
    except (ValueError, TypeError):
        return empty


def undo(moves: Sequence[Move]) -> None:
    """Undoes the moves that were made, of a list that may have been left in the middle."""
    for source, target in reversed(moves):
        if target.exists() and not source.exists():
            source.parent.mkdir(parents=True, exist_ok=True)
            target.rename(source)
        if source.name.startswith(PREFIX):  # a file: folders were made for it
            for parent in target.relative_to(source.parent).parents[:-1]:
                with suppress(OSError):  # something else is in it
                    (source.parent / parent).rmdir()


def _remove(ledger: Path, folder: Path | None) -> None:
    """Removes the folder of an import, the files that it hid in a repository, and its ledger."""
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)
    if ledger.name.startswith(PREFIX):
        for file in ledger.parent.glob(f"{ledger.stem}.*"):
            if file != ledger:
                file.unlink(missing_ok=True)
    ledger.unlink(missing_ok=True)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lets one process at a time in, of all that ask for the same folder."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
    except OSError:  # NFS locks only what is open for writing
        os.close(handle)
        handle = os.open(folder / f"{PREFIX}lock", os.O_RDWR | os.O_CREAT, 0o644)
        fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(handle)
