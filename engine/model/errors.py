"""What can be wrong with a checkpoint."""


class CheckpointError(ValueError):
    """A checkpoint that can't be served; the message says why, in one sentence."""
