"""What stands in the way of a torch session; importable without torch."""


class TorchMissingError(RuntimeError):
    """PyTorch, or a GPU that it can use, is missing; the message says which, and what to do."""


class TorchMemoryError(RuntimeError):
    """A variant and its slots need more memory than the GPU has free."""


class TorchInputError(ValueError):
    """A source or a slot holds what the model does not take: on a GPU that would be fatal."""
