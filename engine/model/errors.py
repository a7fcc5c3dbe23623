"""What can be wrong with a checkpoint."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class CheckpointError(ValueError):
    """A checkpoint that can't be served; the message says why, in one sentence."""


def in_one_line(error: BaseException) -> str:
    """What an error of a library says: the first two lines of it, which is where the reason is."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:2]) or type(error).__name__


@contextmanager
def library_errors(what: str) -> Iterator[None]:
    """Has whatever a library raises be a `CheckpointError` that begins with `what`.

    Those that are written in Rust raise plain exceptions, and panics that are none.
    """
    try:
        yield
    except CheckpointError:
        raise
    except BaseException as error:
        if isinstance(error, Exception) or type(error).__name__ == "PanicException":
            raise CheckpointError(f"{what}: {in_one_line(error)}") from error
        raise


def unreadable(path: Path, error: OSError) -> CheckpointError:
    """The error for a file, or a folder, of a checkpoint that the system does not let us read."""
    if isinstance(error, FileNotFoundError) and path.is_symlink():
        return CheckpointError(f"{path} can't be read: it is a link to a file that is not there.")
    return CheckpointError(f"{path} can't be read: {error.strerror or error}.")


def counted(number: int, noun: str) -> str:
    """Such as "1 text" and "2 texts"."""
    return f"{number} {noun}{'s' * (number != 1)}"
