"""The weights that a run starts from."""

from copy import deepcopy
from pathlib import Path

from engine.model.checkpoint import load_checkpoint
from engine.model.transformer import Transformer
from engine.training.config import ConfigError


def load_start(initial_checkpoint: Path) -> Transformer:
    """The encoder-decoder of a checkpoint.

    Raises:
        ConfigError: it holds another kind of model.
        CheckpointError: it can't be loaded.

    """
    model = load_checkpoint(initial_checkpoint).model
    if not isinstance(model, Transformer):
        raise ConfigError(f"initial_checkpoint: {initial_checkpoint} is no encoder-decoder.")
    return deepcopy(model)  # a checkpoint's weights are mapped, and may share memory
