"""Paths that Triton can be given: its Python backend starts each model by a line for a shell.

What a shell would take apart or run, spaces above all, must not be in a path, and letters beyond
ASCII fail in the C locale.  A path of another kind gets a link to it with a plain name.
"""

import hashlib
import os
import re
import tempfile
from pathlib import Path

from deploy.local.errors import StackError

_PLAIN = re.compile(r"[A-Za-z0-9_./+@%,=-]+")


def plain(target: Path, run_directory: Path) -> Path:
    """`target` itself, or a link to it in the run directory, or else in the temporary folder.

    Raises:
        StackError: there is no place for a link.

    """
    if _PLAIN.fullmatch(str(target)):
        return target
    name = hashlib.sha256(os.fsencode(target)).hexdigest()[:16]
    folder = run_directory / "aliases"
    if not _PLAIN.fullmatch(str(folder)):
        folder = Path(tempfile.gettempdir()) / f"seqway-aliases-{os.getuid()}"
    if not _PLAIN.fullmatch(str(folder)):
        raise StackError(
            f"Triton can't be given the path {target}: name it in plain letters, without spaces, "
            "or set TMPDIR to such a path."
        )
    try:
        _make_own(folder)
        fresh = folder / f"{name}.{os.getpid()}"
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(target)
        fresh.rename(folder / name)
    except OSError as error:
        raise StackError(f"{folder} can't be written: {error.strerror or error}.") from error
    return folder / name


def _make_own(folder: Path) -> None:
    """Makes a folder that nobody else writes to: what Triton loads is run.

    Raises:
        OSError: it is somebody else's.

    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    stat = folder.lstat()
    if stat.st_uid != os.getuid() or stat.st_mode & 0o022 or folder.is_symlink():
        raise PermissionError(1, "it is not this user's alone")
