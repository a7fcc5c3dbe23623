"""What can be wrong with a checkpoint."""


class CheckpointError(ValueError):
    """A checkpoint that can't be served; the message says why, in one sentence."""


def in_one_line(error: BaseException) -> str:
    """What an error of a library says: the first two lines of it, which is where the reason is."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:2]) or type(error).__name__
